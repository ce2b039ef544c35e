package toolchain

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Packages are tested in parallel processes; goroutines stand in for them, as
// the lock is taken on a descriptor of each caller's own.
func TestBuiltOnce(t *testing.T) {
	root, err := Root(".")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", goCache(t)) // its default lies below the folder that moves here
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var wg sync.WaitGroup
	paths := make([]string, 4)
	errs := make([]error, 4)
	for i := range paths {
		wg.Go(func() { paths[i], errs[i] = Path(t.Context(), root, "cfssljson") })
	}
	wg.Wait()
	for i, path := range paths {
		if errs[i] != nil || path != paths[0] {
			t.Fatalf("build %d: %q, %v; want %q", i, path, errs[i], paths[0])
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(paths[0]), "*.part"))
	if err != nil || len(left) != 0 {
		t.Errorf("half-made files remain: %v, %v", left, err)
	}
}

func goCache(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// Outside of a source tree the error says what to do.
func TestNoSourceTree(t *testing.T) {
	if root, err := Root(t.TempDir()); err == nil || !strings.Contains(err.Error(), "--source DIR") {
		t.Errorf("root %q, %v; want an error that names --source", root, err)
	}
}

// Every tool module is one that a program is built from, and carries its sums.
func TestEveryModuleIsUsed(t *testing.T) {
	root, err := Root(".")
	if err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Glob(filepath.Join(root, "internal", "tools", "*", "go.mod"))
	if err != nil || len(modules) == 0 {
		t.Fatalf("no modules under internal/tools: %v", err)
	}
	for _, mod := range modules {
		dir := filepath.Dir(mod)
		if !slices.Contains(Modules(), filepath.Base(dir)) {
			t.Errorf("%s: no program is built from it", dir)
		}
		if _, err := os.Stat(filepath.Join(dir, "go.sum")); err != nil {
			t.Error(err)
		}
	}
}
