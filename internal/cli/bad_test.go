package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// located is the form of every problem: file:line:col: path: problem; what to write instead.
var located = regexp.MustCompile(`^(?:[^\n]*: )?cluster\.yaml(:\d+:\d+)?: .+; .+$`)

// Every broken cluster file of the specification ends every command that reads
// one in the same way: exit 2, located problems on stderr, nothing on stdout, and no file touched.
func TestBrokenFilesChangeNothing(t *testing.T) {
	files, err := filepath.Glob("../spec/testdata/bad/*.yaml")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d broken cluster files were found, at least 60 are wanted: %v", len(files), err)
	}
	commands := [][]string{
		{"validate"}, {"plan"}, {"build"}, {"render", "--role", "master"}, {"claims"}, {"pki", "init"}, {"pki", "issue"}, {"pki", "renew"},
		{"pki", "status"}, {"secret", "list"}, {"kubeconfig"}, {"mesh-config", "ana"},
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			t.Chdir(dir)
			if err := os.WriteFile("cluster.yaml", data, 0o644); err != nil {
				t.Fatal(err)
			}
			for _, args := range commands {
				checkRefusal(t, dir, args)
			}
		})
	}
}

func checkRefusal(t *testing.T, dir string, args []string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := Run(context.Background(), args, Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, func(name string) string {
		if name == "HOME" {
			return dir
		}
		return ""
	})
	if code != exitUsage {
		t.Errorf("%v: exit %d, want %d\n%s", args, code, exitUsage, &errs)
	}
	if out.Len() > 0 {
		t.Errorf("%v: printed data: %s", args, &out)
	}
	for line := range strings.Lines(errs.String()) {
		if line = strings.TrimSuffix(line, "\n"); !located.MatchString(line) {
			t.Errorf("%v: a problem without place or advice: %s", args, line)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || left[0].Name() != "cluster.yaml" {
		t.Errorf("%v: left files behind: %v", args, left)
	}
}
