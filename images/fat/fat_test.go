package fat

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(testtool.Path(t, name), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// made has a folder of more than a cluster, and names that need more than one entry.
func made(t testing.TB, bits, size string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fat")
	run(t, "mkfs.vfat", "-C", "-F", bits, "-n", "EFI-SYSTEM", path, size)
	run(t, "mmd", "-i", path, "::/flatcar", "::/EFI")
	for i := range 26 {
		run(t, "mcopy", "-i", path, "/dev/null", "::/flatcar/"+strings.Repeat("long-", 12)+string(rune('a'+i)))
	}
	run(t, "mcopy", "-i", path, "/dev/null", "::/flatcar/first_boot")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestExists(t *testing.T) {
	for bits, size := range map[string]string{"32": "40960", "16": "16384"} {
		data := made(t, bits, size)
		for path, want := range map[string]bool{"flatcar/first_boot": true, "/FLATCAR/First_Boot": true, "EFI": true, "coreos/first_boot": false,
			"flatcar/first": false, "EFI-SYSTEM": false, "flatcar/" + strings.Repeat("long-", 12) + "z": true} {
			if got, err := Exists(bytes.NewReader(data), path); err != nil || got != want {
				t.Errorf("FAT%s: %s: %v, %v", bits, path, got, err)
			}
		}
	}
	if _, err := Exists(bytes.NewReader(make([]byte, 4096)), "a"); err == nil || !strings.Contains(err.Error(), "there is no FAT file system") {
		t.Errorf("none: %v", err)
	}
}

// The real program's files are read, in FAT16 and FAT32, and what is none says so.
func TestRead(t *testing.T) {
	want := strings.Repeat("a file of several clusters\n", 2000)
	for bits, size := range map[string]string{"32": "40960", "16": "16384"} {
		dir := t.TempDir()
		path, text := filepath.Join(dir, "fat"), filepath.Join(dir, "text")
		if err := os.WriteFile(text, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, "mkfs.vfat", "-C", "-F", bits, path, size)
		run(t, "mmd", "-i", path, "::/some-folder")
		run(t, "mcopy", "-i", path, text, "::/some-folder/a long name")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Read(bytes.NewReader(data), "some-folder/a long name"); err != nil || string(got) != want {
			t.Errorf("FAT%s: %d bytes, %v: want %d", bits, len(got), err, len(want))
		}
		if _, err := Read(bytes.NewReader(data), "some-folder/another"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("FAT%s: what is not there: %v", bits, err)
		}
		if _, err := Read(bytes.NewReader(data), "some-folder"); err == nil || !strings.Contains(err.Error(), "it is a folder") {
			t.Errorf("FAT%s: a folder: %v", bits, err)
		}
	}
}

// Whatever the bytes, the answer comes, and soon.
func FuzzExists(f *testing.F) {
	data := made(f, "16", "16384")
	f.Add(data[:100000])
	f.Fuzz(func(_ *testing.T, data []byte) {
		Exists(bytes.NewReader(data), "flatcar/first_boot")
		Read(bytes.NewReader(data), "flatcar/first_boot")
	})
}
