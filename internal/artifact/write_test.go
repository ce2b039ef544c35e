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
