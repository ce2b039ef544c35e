package lab

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What nobody has used for a week goes, and nothing else does: not what another lab uses,
// was used lately or was never noted, nor the work of labs.
func TestUpkeep(t *testing.T) {
	cache := t.TempDir()
	lab := func() *Lab { return &Lab{Config: Config{Cache: cache, Log: io.Discard}} }
	made := 0
	fill := func(dir string) error {
		made++
		return os.MkdirAll(filepath.Join(dir, "deep"), 0o755)
	}
	one := lab()
	dirs := map[string]string{}
	for _, key := range []string{"held", "late", "early"} {
		dir, err := one.cached("tree", key, fill)
		if err != nil {
			t.Fatal(err)
		}
		dirs[key] = dir
	}
	another := lab()
	if _, err := another.cached("tree", "held", fill); err != nil || made != 3 {
		t.Fatal(made, err)
	}
	if err := one.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"disk-unnoted", ".tree-begun", ".tree-begins", idPrefix + "1"} {
		dirs[name] = filepath.Join(cache, name)
		if err := os.Mkdir(dirs[name], 0o755); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-unusedFor - time.Hour)
	for _, path := range []string{filepath.Join(cache, usedFolder, "tree-held"), filepath.Join(cache, usedFolder, "tree-early"), dirs[".tree-begun"], dirs[idPrefix+"1"]} {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	third := lab()
	for range 2 { // the second time finds nothing to do
		if err := third.upkeep(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for name, dir := range dirs {
		_, err := os.Stat(dir)
		if stays := name != "early" && name != ".tree-begun"; stays != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := third.cached("tree", "early", fill); err != nil || made != 4 {
		t.Errorf("made %d times, %v", made, err)
	}
	if err := third.upkeep(t.Context(), time.Now().Add(2*unusedFor)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dirs["early"]); err != nil {
		t.Errorf("a lab's own tree is gone: %v", err)
	}
	if _, err := os.Stat(dirs["late"]); !os.IsNotExist(err) {
		t.Errorf("what nobody uses stays: %v", err)
	}
	for _, l := range []*Lab{another, third} {
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
