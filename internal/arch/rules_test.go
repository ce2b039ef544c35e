package arch

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// allowed is who may import whom: every import inside the module that a package
// may have. Packages for tests alone (proof, testtool, arch) are not in it, so
// nothing that ships can import them.
var allowed = map[string][]string{
	"internal/report":   nil,
	"internal/artifact": nil,
	"examples":          nil,
	"internal/spec":     {"internal/report"},
	"internal/plan":     {"internal/spec", "internal/report"},
	// A document is made of artifact's files and slots, and rendering reports
	// problems at the user's own line.
	// What a node of cloud-init says before it has the helper has a code, too.
	"internal/payload": {"internal/artifact", "internal/report", "internal/bootcode"},
	"profiles":         {"internal/plan", "internal/payload", "internal/artifact"},
	"pki":              {"internal/plan", "internal/artifact", "pki/tinc"},
	"pki/tinc":         nil,
	"images":           {"internal/artifact"},
	"images/cache":     {"internal/artifact"},
	"images/catalog":   {"images/cache"},
	"images/registry":  {"images/cache"},
	"images/lock":      {"internal/artifact", "images/cache", "images/catalog", "images/registry", "images/deb", "images/sysext", "images/bundle"},
	"images/squashfs":  nil,
	// Formats of disks, from the bytes up.
	"images/sparse":     nil,
	"images/attest":     nil,
	"images/inventory":  {"images/attest", "images/ext4", "images/gpt", "images/sparse", "images/squashfs", "internal/artifact"},
	"images/gpt":        nil,
	"images/ext4":       nil,
	"images/fat":        nil,
	"images/btrfs":      {"images/sparse"},
	"images/qcow2":      {"images/sparse"},
	"images/disk":       {"images/sparse", "images/qcow2", "internal/artifact"},
	"images/bake":       {"images", "images/sparse", "images/gpt", "images/ext4", "images/fat", "images/btrfs", "images/disk", "internal/artifact"},
	"images/debianbase": {"images/sparse", "images/gpt", "images/fat", "images/disk", "images/squashfs", "images/deb"},
	"images/gate":       {"images/sparse", "images/gpt", "images/ext4", "internal/artifact"},
	"images/deb":        nil,
	// What they pack are formats of their own.
	"images/sysext":     {"images/squashfs", "images/deb", "internal/artifact"},
	"images/bundle":     {"images/deb", "internal/artifact"},
	"images/release":    nil,
	"internal/scaleway": {"internal/artifact"},
	"internal/bootcode": nil,
	// What masters apply is a template like what nodes carry, so it stands with those;
	// it imports nothing of the plan, since the node helper carries it.
	"profiles/addons":     {"internal/artifact"},
	"internal/node/step":  {"internal/bootcode"},
	"internal/node/clock": {"internal/bootcode", "internal/node/step"},
	// The form of a sealed snapshot, for who takes it, who restores it, and people.
	"internal/snapshot":      nil,
	"internal/node/snapshot": {"internal/artifact", "internal/bootcode", "internal/node/step", "internal/snapshot"},
	"internal/node/etcd":     {"internal/artifact", "internal/bootcode", "internal/node/step", "internal/node/snapshot", "internal/snapshot"},
	"internal/node/api":      nil,
	"internal/node/apply":    {"internal/artifact", "internal/bootcode", "internal/node/step", "internal/node/api", "profiles/addons"},
	"internal/node/approve":  {"internal/artifact", "internal/bootcode", "internal/node/step", "internal/node/api"},
	"internal/node/images":   {"internal/artifact", "internal/bootcode", "internal/node/step"},
	"internal/node/leaf":     nil,
	"internal/node/room":     nil,
	"internal/node/watch":    {"internal/artifact", "internal/bootcode", "internal/node/step", "internal/node/leaf"},
	"internal/node/status":   {"internal/artifact", "internal/bootcode", "internal/node/step", "internal/node/leaf"},
	"internal/node/reboot":   {"internal/artifact", "internal/bootcode", "internal/node/step", "internal/node/api"},
	"internal/node/publicip": {"internal/artifact", "internal/bootcode", "internal/node/step"},
	"internal/node/drive":    nil,
	"internal/node/userdata": {"internal/node/step"},
	"internal/node": {"internal/node/publicip", "internal/node/drive", "internal/node/userdata", "internal/artifact", "internal/bootcode", "internal/node/step", "internal/node/clock", "internal/node/etcd", "internal/node/apply",
		"internal/node/approve", "internal/node/images", "internal/node/watch", "internal/node/status", "internal/node/reboot", "internal/node/room", "internal/node/snapshot"},
	"internal/toolchain": nil,
	"internal/forge": {"internal/report", "internal/artifact", "internal/spec", "internal/plan", "internal/payload",
		"profiles", "profiles/addons", "pki", "images", "images/attest", "images/bake", "images/bundle", "images/cache", "images/disk", "images/gate", "images/gpt", "images/inventory", "images/sparse", "images/catalog", "images/debianbase", "images/lock", "images/registry", "images/release", "images/sysext", "internal/scaleway", "internal/bootcode", "internal/snapshot", "examples"},
	"internal/cli": {"internal/forge", "internal/spec", "internal/plan", "internal/report", "internal/lab", "internal/bootcode", "internal/toolchain", "examples"},
	"internal/lab": {"internal/forge", "internal/spec", "internal/plan", "internal/report", "internal/bootcode", "internal/artifact", "profiles/addons",
		"images/bundle", "images/catalog", "images/deb", "images/debianbase", "images/disk", "images/fat", "images/gpt", "images/squashfs", "images/sysext", "internal/node/images"},
	"cmd/imgforge": {"internal/cli"},
	// It makes imgforge's own container image.
	"internal/tools/image": {"images/bundle", "images/cache", "images/deb", "internal/artifact"},
	"cmd/imgforge-node":    {"internal/node"},
}

// testOnly packages may import anything, and nothing may import them.
var testOnly = []string{"internal/arch", "internal/proof", "internal/testtool", "internal/scaleway/fake"}

func isTestOnly(dir string) bool {
	return slices.ContainsFunc(testOnly, func(p string) bool { return dir == p || strings.HasPrefix(dir, p+"/") })
}

// importTable refuses imports that the table does not grant, and packages that
// the table does not know.
func importTable(f file) (bad []string) {
	if isTestOnly(f.dir) {
		return nil
	}
	grants, known := allowed[f.dir]
	if !known {
		return []string{f.name + ": package " + f.dir + " is not in the import table: decide who may import it"}
	}
	for path, at := range f.imports() {
		if ours, ok := strings.CutPrefix(path, module); ok && !slices.Contains(grants, ours) {
			bad = append(bad, at+": "+f.dir+" may not import "+ours)
		}
	}
	return bad
}

// pure are the packages without file, clock, randomness and network.
var pure = []string{"internal/bootcode", "internal/plan", "internal/payload", "profiles", "internal/spec", "internal/report", "examples"}

// impure are packages that reach the machine; net/netip and net/url only compute.
var impure = []string{"os", "os/exec", "os/user", "os/signal", "io/ioutil", "syscall", "net", "net/http", "net/rpc", "net/smtp",
	"math/rand", "math/rand/v2", "crypto/rand", "path/filepath", "log", "log/slog", "log/syslog", "plugin", "runtime/debug", "unsafe"}

// clock are the names of package time that read or wait for the clock, or depend on where the machine stands.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local"}

// purity refuses I/O, clock and randomness in pure packages.
func purity(f file) (bad []string) {
	if !slices.Contains(pure, f.dir) {
		return nil
	}
	for path, at := range f.imports() {
		if slices.Contains(impure, path) || strings.HasPrefix(path, "golang.org/x/sys") {
			bad = append(bad, at+": "+f.dir+" is pure and may not import "+path)
		}
	}
	for name, at := range selectors(f, "time") {
		if slices.Contains(clock, name) {
			bad = append(bad, at+": "+f.dir+" is pure and may not use time."+name)
		}
	}
	return bad
}

// selectors lists what f takes from an imported package, with one place each.
func selectors(f file, path string) map[string]string {
	out := map[string]string{}
	local := f.called(path)
	if local == "" {
		return out
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == local {
				out[s.Sel.Name] = f.at(s.Pos())
			}
		}
		return true
	})
	return out
}

// exits refuses to end the process anywhere but in main: deferred work would not run.
func exits(f file) (bad []string) {
	if f.ast.Name.Name == "main" {
		return nil
	}
	for name, at := range selectors(f, "os") {
		if name == "Exit" {
			bad = append(bad, at+": only main may call os.Exit")
		}
	}
	for name, at := range selectors(f, "log") {
		if strings.HasPrefix(name, "Fatal") || strings.HasPrefix(name, "Panic") {
			bad = append(bad, at+": return an error instead of log."+name)
		}
	}
	return bad
}

// names refuses packages named after nothing.
func names(f file) []string {
	switch name := f.ast.Name.Name; name {
	case "util", "utils", "common", "helper", "helpers", "manager", "misc", "shared", "base":
		return []string{f.name + ": package " + name + ": name a package after what it holds"}
	}
	return nil
}

// state refuses init functions and package variables that anybody can change by
// accident: maps, slices, pointers. Only what the syntax shows is judged.
func state(f file) (bad []string) {
	if isTestOnly(f.dir) {
		return nil
	}
	for _, decl := range f.ast.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" {
				bad = append(bad, f.at(d.Pos())+": no init functions")
			}
		case *ast.GenDecl:
			if d.Tok != token.VAR {
				continue
			}
			for _, spec := range d.Specs {
				v := spec.(*ast.ValueSpec)
				embedded := d.Doc != nil && strings.Contains(comments(d.Doc), "//go:embed")
				if mutable(v) && !embedded {
					bad = append(bad, f.at(v.Pos())+": package variable "+v.Names[0].Name+" can be changed: make it a function, a switch or an array")
				}
			}
		}
	}
	return bad
}

func comments(g *ast.CommentGroup) string {
	var b strings.Builder
	for _, c := range g.List {
		b.WriteString(c.Text + "\n")
	}
	return b.String()
}

func mutable(v *ast.ValueSpec) bool {
	if v.Names[0].Name == "_" {
		return false
	}
	if shared(v.Type) {
		return true
	}
	return slices.ContainsFunc(v.Values, func(e ast.Expr) bool {
		switch e := e.(type) {
		case *ast.CompositeLit:
			return shared(e.Type)
		case *ast.UnaryExpr:
			return e.Op == token.AND
		case *ast.CallExpr:
			fn, ok := e.Fun.(*ast.Ident)
			return ok && (fn.Name == "make" || fn.Name == "new")
		}
		return false
	})
}

// shared tells whether copies of a value of this type share what they hold.
func shared(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.MapType, *ast.StarExpr, *ast.ChanType:
		return true
	case *ast.ArrayType:
		return e.Len == nil
	}
	return false
}
