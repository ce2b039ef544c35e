package lab

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The store in use, the one used before it and those of a moment ago stay; older
// ones of its kind go, and nothing else does.
func TestPruneKeepsTheNewestTwo(t *testing.T) {
	l := &Lab{Config: Config{Cache: t.TempDir(), Log: io.Discard}}
	age := func(name string, minutes int) string {
		dir := filepath.Join(l.Cache, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-time.Duration(minutes) * time.Minute)
		if err := os.Chtimes(dir, at, at); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	age("store-a", 1)
	age("store-b", 2)
	age("store-c", 100)
	age("images-a", 900)
	used := age("store-d", 400)
	if err := l.prune("store", used); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(l.Cache, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range left {
		left[i] = filepath.Base(path)
	}
	if want := []string{"images-a", "store-a", "store-b", "store-d", usedFolder}; !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
}
