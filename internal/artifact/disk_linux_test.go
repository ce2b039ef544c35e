package artifact

import (
	"errors"
	"maps"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

// A real file system that is full, then read-only: nothing is left, and the
// message says what to do.
func TestFullAndReadOnlyDisk(t *testing.T) {
	testtool.Root(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		testtool.Skip(t, "a tmpfs is needed: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	big := make([]byte, 1<<20)
	err := WriteBytes(filepath.Join(dir, "f"), 0o600, big)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("full: %v", err)
	}
	out := filepath.Join(dir, "out")
	build(t, out, "first")
	before := snapshot(t, dir)
	tree, err := NewTree(out, TreeInfo{Cluster: "nostromo"})
	if err != nil {
		t.Fatal(err)
	}
	err = tree.AddBytes(Item{Path: "big"}, big)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") || strings.Contains(err.Error(), "imgforge-new") {
		t.Errorf("full: %v", err)
	}
	tree.Abort()
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{WriteBytes(filepath.Join(dir, "f"), 0o600, nil), func() error { _, err := NewTree(out, TreeInfo{Cluster: "nostromo"}); return err }()} {
		if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "writable") {
			t.Errorf("read-only: %v", err)
		}
	}
	if after := snapshot(t, dir); !maps.Equal(before, after) {
		t.Errorf("changed from %q to %q", before, after)
	}
}
