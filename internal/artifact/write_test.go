package artifact

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

func TestWriteFileModes(t *testing.T) {
	for _, umask := range []int{0, 0o077} {
		old := syscall.Umask(umask)
		for _, mode := range []fs.FileMode{0o600, 0o644, 0o755, 0o400} {
			path := filepath.Join(t.TempDir(), "f")
			if err := WriteBytes(path, mode, []byte("x")); err != nil {
				t.Error(err)
			} else if info, err := os.Stat(path); err != nil || info.Mode() != mode {
				t.Errorf("umask %#o: mode %v (%v), want %v", umask, info.Mode(), err, mode)
			}
		}
		syscall.Umask(old)
	}
}

func TestWriteFileReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("n", 255))
	for _, text := range []string{"first", "second"} {
		if err := WriteBytes(path, 0o600, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("read %q (%v), want %q", got, err, text)
		}
	}
}

func TestWriteFileLeavesTheOldOneOnError(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := WriteBytes(path, 0o600, []byte("old")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := WriteFile(path, 0o600, func(w io.Writer) error {
		if _, err := w.Write(bytes.Repeat([]byte("new"), 1<<20)); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("read %q (%v)", got, err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"f"}) {
		t.Errorf("left: %q", got)
	}
}

func TestWriteFileSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "folder", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "missing", "f"): "make the folder " + filepath.Join(dir, "missing") + " first",
		filepath.Join(dir, "folder"):       "exists",
	} {
		if err := WriteBytes(path, 0o600, nil); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "imgforge-tmp") {
			t.Errorf("%s: error %v, want one with %q that does not speak of the temporary file", path, err, want)
		}
	}
	if got := names(t, dir); !slices.Equal(got, []string{"folder"}) {
		t.Errorf("left: %q", got)
	}
}

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
	tree, err := NewTree(out, TreeInfo{})
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
	for _, err := range []error{WriteBytes(filepath.Join(dir, "f"), 0o600, nil), func() error { _, err := NewTree(out, TreeInfo{}); return err }()} {
		if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "writable") {
			t.Errorf("read-only: %v", err)
		}
	}
	if after := snapshot(t, dir); !equalSnapshots(before, after) {
		t.Errorf("changed from %q to %q", before, after)
	}
}

func equalSnapshots(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}
