package profiles

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/examples"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fakeSecrets answers every question with words that name it, so that goldens
// are readable and a misplaced secret is found by its name. It remembers what
// was asked for.
type fakeSecrets struct{ asked map[string]bool }

func newSecrets() fakeSecrets { return fakeSecrets{map[string]bool{}} }

func (f fakeSecrets) say(format string, args ...any) ([]byte, error) {
	text := "<" + fmt.Sprintf(format, args...) + ">"
	f.asked[text] = true
	return []byte(text + "\n"), nil
}

func (f fakeSecrets) Authority(name string) ([]byte, error) { return f.say("authority %s", name) }
func (f fakeSecrets) AuthorityKey(name string) ([]byte, error) {
	return f.say("private key of authority %s", name)
}
func (f fakeSecrets) Certificate(id string) ([]byte, error) { return f.say("certificate of %s", id) }
func (f fakeSecrets) PrivateKey(id string) ([]byte, error)  { return f.say("private key of %s", id) }
func (f fakeSecrets) Public(id string) ([]byte, error)      { return f.say("public half of %s", id) }
func (f fakeSecrets) Secret(id string) ([]byte, error)      { return f.say("secret %s", id) }
func (f fakeSecrets) Recipients() []string                  { return []string{"<recipient>"} }

// planOf plans a cluster file, which must be valid.
func planOf(t testing.TB, text string, facts plan.Facts) *plan.Plan {
	t.Helper()
	c, _, r := spec.Parse("cluster.yaml", []byte(text))
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	p, r := plan.New(c, facts)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

// example plans an embedded example.
func example(t testing.TB, name string) *plan.Plan {
	t.Helper()
	text, err := examples.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	return planOf(t, string(text), plan.Facts{})
}

// full plans testdata/full.yaml, which sets every field that reaches a node.
func full(t testing.TB) *plan.Plan {
	t.Helper()
	text, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := planOf(t, string(text), plan.Facts{})
	for i := range p.Settings.Registries {
		p.Settings.Registries[i].CA = "<authority of " + p.Settings.Registries[i].Host + ">"
	}
	return p
}

// eachRole runs f for every role of every example and of testdata/full.yaml.
func eachRole(t *testing.T, f func(t *testing.T, p *plan.Plan, role string)) {
	plans := map[string]*plan.Plan{"full": full(t)}
	for _, name := range examples.Names() {
		plans[name] = example(t, name)
	}
	for _, name := range slices.Sorted(maps.Keys(plans)) {
		p := plans[name]
		for _, r := range p.Roles {
			t.Run(name+"/"+r.Name, func(t *testing.T) { f(t, p, r.Name) })
		}
	}
}

func roleDocument(t testing.TB, p *plan.Plan, role string) *payload.Document {
	t.Helper()
	doc, err := Role(p, role, newSecrets())
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func nodeDocument(t testing.TB, p *plan.Plan, node string) *payload.Document {
	t.Helper()
	doc, err := Node(p, node, newSecrets())
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// contents is the file at a path of a node document, or an error that names it.
func contents(t testing.TB, doc *payload.Document, path string) string {
	t.Helper()
	i := slices.IndexFunc(doc.Files, func(f artifact.File) bool { return f.Path == path })
	if i < 0 {
		t.Fatalf("%s has no %s", doc.Target, path)
	}
	return string(doc.Files[i].Contents)
}

// TestGolden shows every role of every example whole: what all its nodes share,
// the first slot in full, and the other slots by name.
func TestGolden(t *testing.T) {
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		got := printDocument(roleDocument(t, p, role))
		path := filepath.Join("testdata", "golden", p.Cluster+"."+role+".txt")
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs; run go test ./profiles -run Golden -update and read the difference\n%s", path, firstDifference(got, want))
		}
	})
}

func firstDifference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("got %d lines, want %d", len(g), len(w))
}

func printDocument(d *payload.Document) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "document %s for %s %s\n", d.Target, d.Variant, d.Version)
	for _, x := range d.Directories {
		fmt.Fprintf(&b, "directory %s %04o\n", x.Path, x.Mode)
	}
	for _, x := range d.Links {
		fmt.Fprintf(&b, "link %s -> %s\n", x.Path, x.Target)
	}
	for _, x := range d.Filesystems {
		fmt.Fprintf(&b, "filesystem %s on %s, label %s, at %s\n", x.Format, x.Device, x.Label, x.Path)
	}
	printFiles(&b, d.Files)
	for _, u := range d.Units {
		state := "as it is"
		switch {
		case u.Mask:
			state = "masked"
		case u.Enabled != nil:
			state = map[bool]string{true: "enabled", false: "disabled"}[*u.Enabled]
		}
		fmt.Fprintf(&b, "\n=== unit %s (%s)\n%s", u.Name, state, u.Contents)
		for _, x := range u.Dropins {
			fmt.Fprintf(&b, "\n=== drop-in %s of %s\n%s", x.Name, u.Name, x.Contents)
		}
	}
	for i, s := range d.Slots {
		fmt.Fprintf(&b, "\n##### slot %s, claimed by %s: %d files\n", s.Node, strings.Join(s.Match, " "), len(s.Files))
		if i == 0 {
			printFiles(&b, s.Files)
		}
	}
	return b.Bytes()
}

func printFiles(b *bytes.Buffer, files []artifact.File) {
	for _, f := range files {
		mark := ""
		if f.Secret {
			mark = " secret"
		}
		if f.User != "" || f.Group != "" {
			mark += " " + f.User + ":" + f.Group
		}
		fmt.Fprintf(b, "\n=== %s %04o%s\n%s", f.Path, cmp.Or(f.Mode, 0o644), mark, f.Contents)
		if !bytes.HasSuffix(f.Contents, []byte("\n")) {
			b.WriteString("\n(no newline at the end)\n")
		}
	}
}

// TestNodeEqualsRole: a node that claims its slot of a role document ends up
// with the tree that its own document has.
func TestNodeEqualsRole(t *testing.T) {
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		doc := roleDocument(t, p, role)
		if len(doc.Slots) != len(p.NodesOf(role)) {
			t.Fatalf("%d slots for %d nodes", len(doc.Slots), len(p.NodesOf(role)))
		}
		for _, s := range doc.Slots {
			own := nodeDocument(t, p, s.Node)
			claimed := slices.Concat(doc.Files, s.Files)
			sortFiles(claimed)
			if !reflect.DeepEqual(own.Files, claimed) {
				t.Errorf("%s: files of the node document and of the claimed slot differ", s.Node)
			}
			if !reflect.DeepEqual(own.Units, doc.Units) || !reflect.DeepEqual(own.Directories, doc.Directories) ||
				!reflect.DeepEqual(own.Links, doc.Links) || !reflect.DeepEqual(own.Filesystems, doc.Filesystems) {
				t.Errorf("%s: units, folders, links or filesystems differ from the role's", s.Node)
			}
		}
	})
}

// TestSecretsAreInSlots: whoever seals the slots has sealed everything.
func TestSecretsAreInSlots(t *testing.T) {
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		doc := roleDocument(t, p, role)
		for _, f := range doc.Files {
			if f.Secret || isSecret(f.Contents) {
				t.Errorf("%s is secret and outside of the slots", f.Path)
			}
		}
		for _, u := range doc.Units {
			if isSecret([]byte(fmt.Sprint(u))) {
				t.Errorf("unit %s holds a secret", u.Name)
			}
		}
		for _, s := range doc.Slots {
			for _, f := range s.Files {
				if isSecret(f.Contents) != f.Secret {
					t.Errorf("%s of %s: Secret is %v", f.Path, s.Node, f.Secret)
				}
				if f.Secret && f.Mode&0o007 != 0 {
					t.Errorf("%s of %s is secret and has mode %04o", f.Path, s.Node, f.Mode)
				}
			}
		}
	})
}

// inBase64 finds what may hide a secret.
var inBase64 = regexp.MustCompile(`[A-Za-z0-9+/]{16,}=*`)

// isSecret finds what fakeSecrets says in place of a secret, plain or in base64.
func isSecret(text []byte) bool {
	plain := func(text []byte) bool {
		return bytes.Contains(text, []byte("<private key")) || bytes.Contains(text, []byte("<secret"))
	}
	return plain(text) || slices.ContainsFunc(inBase64.FindAll(text, -1), func(word []byte) bool {
		raw, err := base64.StdEncoding.DecodeString(string(word))
		return err == nil && plain(raw)
	})
}

// TestKeysOfOthers: a node is given its own keys and those that its role must
// share, never another node's and never an authority's but the kubelet-signer's.
func TestKeysOfOthers(t *testing.T) {
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		shared := map[string][]string{"master": {"<private key of authority kubelet-signer>", "<secret service-account>", "<secret encryption>"}}[role]
		for _, n := range p.NodesOf(role) {
			s := newSecrets()
			if _, err := Node(p, n.Name, s); err != nil {
				t.Fatal(err)
			}
			for _, said := range slices.Sorted(maps.Keys(s.asked)) {
				private := strings.HasPrefix(said, "<private") || strings.HasPrefix(said, "<secret")
				mine := strings.Contains(said, " "+n.Name+"/") || strings.HasPrefix(said, "<secret user/")
				if private && !mine && !slices.Contains(shared, said) {
					t.Errorf("%s carries %s", n.Name, said)
				}
			}
		}
	})
}

func TestUnknownTarget(t *testing.T) {
	p := example(t, examples.Names()[0])
	if _, err := Role(p, "butler", newSecrets()); err == nil || !strings.Contains(err.Error(), `no role "butler"`) {
		t.Errorf("role: %v", err)
	}
	if _, err := Node(p, "master-99", newSecrets()); err == nil || !strings.Contains(err.Error(), "imgforge plan") {
		t.Errorf("node: %v", err)
	}
}

// missing is a store without one certificate.
type missing struct {
	fakeSecrets
	id string
}

func (m missing) Certificate(id string) ([]byte, error) {
	if id == m.id {
		return nil, errNotIssued
	}
	return m.fakeSecrets.Certificate(id)
}

var errNotIssued = errors.New("not issued")

// TestMissingSecret: the error says which node and part wanted what.
func TestMissingSecret(t *testing.T) {
	p := example(t, examples.Names()[0])
	n := p.NodesOf("master")[0].Name
	_, err := Role(p, "master", missing{newSecrets(), n + "/etcd-peer"})
	if !errors.Is(err, errNotIssued) || !strings.Contains(err.Error(), "node "+n+": pki: ") {
		t.Errorf("got %v", err)
	}
}

// TestDeclaredTwice: two parts that claim one path or unit are a mistake of
// ours that must not depend on which comes last.
func TestDeclaredTwice(t *testing.T) {
	file := artifact.File{Path: "/etc/a"}
	for name, doc := range map[string]*payload.Document{
		"files":           {Files: []artifact.File{file, file}},
		"file and link":   {Files: []artifact.File{file}, Links: []payload.Link{{Path: "/etc/a"}}},
		"units":           {Units: []payload.Unit{{Name: "a.service"}, {Name: "a.service"}}},
		"file and slot":   {Files: []artifact.File{file}, Slots: []artifact.Slot{{Node: "n", Files: []artifact.File{file}}}},
		"files of a slot": {Slots: []artifact.Slot{{Node: "n", Files: []artifact.File{file, file}}}},
		"directory":       {Files: []artifact.File{file}, Directories: []payload.Directory{{Path: "/etc/a"}}},
	} {
		if _, err := finish(doc); err == nil || !strings.Contains(err.Error(), "twice") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
