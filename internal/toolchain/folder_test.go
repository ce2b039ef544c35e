package toolchain

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Programs that nobody used for long go; those being built, used again or new stay.
func TestPrune(t *testing.T) {
	cache, now := t.TempDir(), time.Now()
	old := now.Add(-unusedFor - time.Hour)
	for _, name := range []string{"old", "building", "again", "new"} {
		dir := filepath.Join(cache, name)
		unlock, err := lock(dir)
		if err != nil {
			t.Fatal(err)
		}
		if name == "building" {
			defer unlock()
		} else {
			unlock()
		}
		if name != "new" {
			err = use(dir, old)
		}
		if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "program"), nil, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := use(filepath.Join(cache, "again"), now); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time finds nothing to do
		if err := prune(cache, now); err != nil {
			t.Fatal(err)
		}
	}
	for name, stays := range map[string]bool{"old": false, "building": true, "again": true, "new": true} {
		if present(filepath.Join(cache, name, "program")) != stays {
			t.Errorf("%s: want it there: %t", name, stays)
		}
	}
	dir := filepath.Join(cache, "old")
	if err := use(dir, now); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is gone is used: %v", err)
	}
	unlock, err := lock(dir) // and made again by who wants it
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
