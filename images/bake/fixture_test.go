package bake

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/basedisk"
)

// kept are the images that several tests start from: making one waits for the disk.
var kept struct {
	sync.Mutex
	dir   string
	paths map[string]string
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "imgforge-bake-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	kept.dir, kept.paths = dir, map[string]string{}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// once makes an image for all tests that ask for the same name.
func once(t testing.TB, name string, make func() string) string {
	t.Helper()
	kept.Lock()
	defer kept.Unlock()
	if kept.paths[name] == "" {
		path := filepath.Join(kept.dir, fmt.Sprint(len(kept.paths)))
		if err := os.Rename(make(), path); err != nil {
			t.Fatal(err)
		}
		kept.paths[name] = path
	}
	return kept.paths[name]
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testtool.Path(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// flatcar is an image that nobody may change.
func flatcar(t testing.TB, s basedisk.Sizes) string {
	return once(t, fmt.Sprint("flatcar", s), func() string { return basedisk.Flatcar(t, s, true) })
}

func debian(t testing.TB) string {
	return basedisk.Debian(t, map[string]string{"etc/debian_version": "13.1\n"})
}
