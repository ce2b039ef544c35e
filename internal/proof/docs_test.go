package proof

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

// Every YAML block that a document marks as a cluster file is one: it passes
// `validate` without a word and builds.
func TestDocumentedClustersBuild(t *testing.T) {
	root, err := testtool.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	built := 0
	for _, path := range documents(t, root) {
		name, _ := filepath.Rel(root, path)
		for i, block := range fenced(string(read(t, path)), "yaml imgforge") {
			built++
			t.Run(name+"/"+string(rune('a'+i)), func(t *testing.T) {
				c := &cluster{name: t.Name(), dir: t.TempDir()}
				c.write(t, block)
				c.run(t, "validate")
				c.run(t, "pki", "init")
				for _, secret := range secretRefs(block) {
					c.in = "made up for this test\n"
					c.run(t, "secret", "set", secret)
				}
				c.run(t, "pki", "issue")
				c.run(t, "build", "-o", c.path("out"))
				c.run(t, "verify", c.path("out"))
			})
		}
	}
	if built < 2 {
		t.Errorf("only %d blocks are marked ```yaml imgforge in README.md and docs/", built)
	}
}

// Examples are cluster files without the mark too; nothing YAML-like that names
// our API stays unmarked and so unproven.
func TestClusterBlocksAreMarked(t *testing.T) {
	root, err := testtool.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range documents(t, root) {
		for _, fence := range []string{"yaml", "yml", ""} {
			for _, block := range fenced(string(read(t, path)), fence) {
				if strings.Contains(block, "apiVersion: imgforge/") {
					t.Errorf("%s: a cluster file in a block that is not marked ```yaml imgforge:\n%s", path, block)
				}
			}
		}
	}
}

// CI types what README.md tells a reader to type.
func TestREADMETestCommand(t *testing.T) {
	root, err := testtool.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	const command = "make deps test"
	for _, file := range []string{"README.md", ".ci/run"} {
		if !strings.Contains(string(read(t, filepath.Join(root, file))), command) {
			t.Errorf("%s does not say %q", file, command)
		}
	}
}

func documents(t *testing.T, root string) []string {
	t.Helper()
	out := []string{filepath.Join(root, "README.md")}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fenced lists the code blocks whose opening fence says exactly info.
func fenced(text, info string) []string {
	var out []string
	var block *strings.Builder
	mine := false
	for line := range strings.Lines(text) {
		bare := strings.TrimSpace(line)
		switch {
		case block == nil && strings.HasPrefix(bare, "```"):
			block, mine = &strings.Builder{}, bare == "```"+info
		case block != nil && bare == "```":
			if mine {
				out = append(out, block.String())
			}
			block = nil
		case block != nil:
			block.WriteString(line)
		}
	}
	return out
}

// secretRefs are the secrets that a cluster file refers to by name.
func secretRefs(text string) []string {
	var out []string
	for _, after := range strings.Split(text, "passwordRef:")[1:] {
		out = append(out, strings.Trim(strings.FieldsFunc(after, func(r rune) bool { return strings.ContainsRune(" ,}\n", r) })[0], `"`))
	}
	return out
}
