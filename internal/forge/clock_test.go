package forge

import (
	"crypto/rand"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/imgforge/imgforge/examples"
)

// The same file and store give the same bytes a hundred days later: no payload,
// drive or manifest knows when it was built.
func TestBuildsKnowNoClock(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "cluster.yaml")
	data, err := examples.Read("single")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC)
	getenv := func(name string) string {
		return map[string]string{"HOME": filepath.Join(dir, "home")}[name]
	}
	app := &App{Now: func() time.Time { return day }, Rand: rand.Reader, Getenv: getenv, Log: io.Discard}
	if _, err := app.PKIInit(t.Context(), Source{File: file}); err != nil {
		t.Fatal(err)
	}
	var trees []map[string]string
	for _, out := range []string{"today", "later"} {
		o := BuildOptions{Source: Source{File: file}, Out: filepath.Join(dir, out)}
		if _, err := app.Build(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		trees = append(trees, contents(t, o.Out))
		day = day.AddDate(0, 0, 100)
	}
	if len(trees[0]) < 10 || len(trees[0]) != len(trees[1]) {
		t.Fatalf("%d files, and %d later", len(trees[0]), len(trees[1]))
	}
	for name, text := range trees[0] {
		if trees[1][name] != text {
			t.Errorf("%s differs", name)
		}
	}
}

// contents are the files of a folder by path.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		out[path[len(dir):]] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
