package arch

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

// rules are judged per file; each row of bad is a file that the rule must refuse.
var rules = []struct {
	name  string
	check func(file) []string
	// bad and good are file name and text.
	bad, good [][2]string
}{
	{"import table", importTable,
		[][2]string{
			{"internal/plan/a.go", "package plan\nimport _ \"github.com/imgforge/imgforge/pki\""},
			{"internal/node/a.go", "package node\nimport _ \"github.com/imgforge/imgforge/internal/payload\""},
			{"internal/forge/a.go", "package forge\nimport _ \"github.com/imgforge/imgforge/internal/node\""},
			{"internal/spec/a.go", "package spec\nimport _ \"github.com/imgforge/imgforge/internal/testtool\""},
			{"internal/newcomer/a.go", "package newcomer"},
		},
		[][2]string{
			{"internal/plan/a.go", "package plan\nimport _ \"github.com/imgforge/imgforge/internal/spec\""},
			{"internal/proof/a.go", "package proof\nimport _ \"github.com/imgforge/imgforge/pki\""},
		}},
	{"purity", purity,
		[][2]string{
			{"internal/plan/a.go", "package plan\nimport \"os\"\nvar _ = os.Args"},
			{"profiles/a.go", "package profiles\nimport \"math/rand/v2\"\nvar _ = rand.Int()"},
			{"internal/payload/a.go", "package payload\nimport \"time\"\nfunc f() { _ = time.Now }"},
			{"internal/payload/a.go", "package payload\nimport clock \"time\"\nfunc f() { clock.Sleep(1) }"},
			{"internal/payload/a.go", "package payload\nimport \"net\"\nvar _ = net.Dial"},
		},
		[][2]string{
			{"internal/plan/a.go", "package plan\nimport (\"net/netip\"; \"time\")\nvar _ netip.Addr\nfunc f() { _, _ = time.ParseDuration(\"1h\") }"},
			{"internal/forge/a.go", "package forge\nimport (\"os\"; \"time\")\nvar _ = os.Args\nfunc f() { _ = time.Now }"},
		}},
	{"exits", exits,
		[][2]string{
			{"internal/cli/a.go", "package cli\nimport \"os\"\nfunc f() { os.Exit(1) }"},
			{"pki/a.go", "package pki\nimport \"log\"\nfunc f() { log.Fatalf(\"\") }"},
		},
		[][2]string{{"cmd/imgforge/main.go", "package main\nimport \"os\"\nfunc main() { os.Exit(1) }"}}},
	{"names", names,
		[][2]string{{"internal/cli/a.go", "package util"}},
		[][2]string{{"internal/cli/a.go", "package cli"}}},
	{"state", state,
		[][2]string{
			{"pki/a.go", "package pki\nfunc init() {}"},
			{"pki/a.go", "package pki\nvar m = map[string]int{}"},
			{"pki/a.go", "package pki\nvar s = []string{\"a\"}"},
			{"pki/a.go", "package pki\nvar s []string"},
			{"pki/a.go", "package pki\nvar p = &struct{}{}"},
			{"pki/a.go", "package pki\nvar c = make(chan int)"},
		},
		[][2]string{
			{"pki/a.go", "package pki\nimport \"errors\"\nvar ErrGone = errors.New(\"gone\")\nvar days = [...]string{\"Mon\"}"},
			{"pki/a.go", "package pki\nimport _ \"embed\"\n//go:embed a.txt\nvar text []byte"},
			{"pki/a.go", "package pki\ntype T struct{}\nfunc (T) init() {}\nvar _ = []int{1}"},
		}},
}

func TestHouse(t *testing.T) {
	files := sources(t)
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			for _, f := range files {
				for _, violation := range rule.check(f) {
					t.Error(violation)
				}
			}
		})
	}
	for _, f := range files {
		if f.lines > 500 {
			t.Logf("warning: %s has %d lines: is it one room, or several?", f.name, f.lines)
		}
	}
}

// A rule that cannot refuse proves nothing.
func TestRulesRefuse(t *testing.T) {
	for _, rule := range rules {
		for _, row := range rule.bad {
			if len(rule.check(mustParse(t, row))) == 0 {
				t.Errorf("%s: not refused in %s:\n%s", rule.name, row[0], row[1])
			}
		}
		for _, row := range rule.good {
			if bad := rule.check(mustParse(t, row)); len(bad) > 0 {
				t.Errorf("%s: refused: %v in\n%s", rule.name, bad, row[1])
			}
		}
	}
}

func mustParse(t *testing.T, row [2]string) file {
	t.Helper()
	f, err := parse(row[0], []byte(row[1]))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The root module must stay usable with go install, which refuses a replace,
// and must not drag in the modules of the tests' tools.
func TestRootModule(t *testing.T) {
	root, err := testtool.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "replace") || strings.Contains(line, "internal/tools") {
			t.Errorf("go.mod:%d: %s", i+1, line)
		}
	}
}

// The node helper travels in every image: it stays small and without the
// libraries that make payloads and certificates.
func TestNodeHelperStaysSmall(t *testing.T) {
	root, err := testtool.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-deps", "./cmd/imgforge-node")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for dep := range strings.Lines(string(out)) {
		for _, banned := range []string{"github.com/cloudflare/cfssl", "github.com/coreos/butane", "github.com/coreos/ignition", "github.com/spf13/cobra", module + "internal/forge"} {
			if strings.HasPrefix(dep, banned) {
				t.Errorf("cmd/imgforge-node links %s", strings.TrimSpace(dep))
			}
		}
	}
}
