package spec

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/examples"
	"github.com/imgforge/imgforge/internal/report"
)

func update() bool { return flag.Lookup("update").Value.String() == "true" }

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files")
	os.Exit(m.Run())
}

// golden compares text with a file below testdata, or writes it.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if update() {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run go test ./internal/spec -update", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs: run go test ./internal/spec -update and look at the difference\n--- want\n%s\n--- got\n%s", path, want, got)
	}
}

func text(r report.Report) string {
	var b strings.Builder
	for _, p := range r.Problems {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

// Every broken file has the report beside it that its author gets to read.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 65 {
		t.Fatalf("%d broken files, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, _, r := Parse(filepath.Base(file), data)
			if r.Errors() == 0 {
				t.Error("a broken file has no error")
			}
			inside(t, data, r)
			golden(t, strings.TrimSuffix(file, ".yaml")+".want", []byte(text(r)))
		})
	}
}

// inside proves that every problem points into the file and says what to do.
func inside(t *testing.T, data []byte, r report.Report) {
	t.Helper()
	lines := strings.Split(string(data), "\n")
	for _, p := range r.Problems {
		switch {
		case p.File == "" || p.Line < 1 || p.Line > len(lines) || p.Col < 1 || p.Col > len([]rune(lines[p.Line-1]))+1:
			t.Errorf("a problem points outside the file of %d lines: %s", len(lines), p)
		case p.Message == "" || p.Fix == "" || strings.ContainsAny(p.Message+p.Fix, "\n\r\x00"):
			t.Errorf("a problem says too little, or more than a line: %q %q", p.Message, p.Fix)
		}
	}
}

// A good file beside the cluster that its defaults make of it.
func TestDefaults(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, _, r := Parse(filepath.Base(file), data)
			if len(r.Problems) > 0 {
				t.Fatalf("a good file has problems:\n%s", text(r))
			}
			got, err := yaml.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".want", got)
		})
	}
}

func TestExamples(t *testing.T) {
	for _, name := range examples.Names() {
		data, err := examples.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, r := Parse(name+".yaml", data); len(r.Problems) > 0 {
			t.Errorf("example %s has problems:\n%s", name, text(r))
		}
	}
}

func TestReference(t *testing.T) { golden(t, "../../docs/cluster-file.md", Reference()) }

// A file that works but would surprise its author gets warnings and no error.
func TestWarnings(t *testing.T) {
	files, err := filepath.Glob("testdata/warn/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, _, r := Parse(filepath.Base(file), data)
			if r.Errors() > 0 || len(r.Problems) == 0 {
				t.Errorf("%d errors in %d problems", r.Errors(), len(r.Problems))
			}
			inside(t, data, r)
			golden(t, strings.TrimSuffix(file, ".yaml")+".want", []byte(text(r)))
		})
	}
}
