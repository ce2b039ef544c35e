package squashfs

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// opened reads an image back.
func opened(t testing.TB, path string) *Reader {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !Is(bytes.NewReader(data)) || Is(bytes.NewReader(data[1:])) {
		t.Error("an image is not told by its beginning")
	}
	r, err := OpenReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What is written is read back: every file of every size, whatever the blocks.
func TestReadBack(t *testing.T) {
	for _, o := range []Options{{Compression: Zstd}, {Compression: Gzip}, {Compression: Zstd, BlockSize: 4096}} {
		entries := all()
		for n := range 700 { // more than one block of the table of fragments, and listings of several blocks
			entries = append(entries, Bytes("many/file with a long name of its own "+strconv.Itoa(n), 0o640, noise(uint64(n), 3000)))
		}
		r := opened(t, image(t, entries, o))
		for _, e := range entries {
			n, err := r.Lookup(e.Path)
			if err != nil {
				t.Errorf("%s: %v", e.Path, err)
				continue
			}
			if e.Mode.IsDir() != n.Mode.IsDir() || e.Mode.IsRegular() != n.Mode.IsRegular() {
				t.Errorf("%s has mode %v, want %v", e.Path, n.Mode, e.Mode)
			}
			if !e.Mode.IsRegular() {
				if _, err := r.Read(n, 1<<20); err == nil {
					t.Errorf("%s was read, and is no file", e.Path)
				}
				continue
			}
			if got, err := r.Read(n, n.Size); err != nil || !bytes.Equal(got, contents(t, e)) || n.Mode.Perm() != e.Mode.Perm() {
				t.Errorf("%s: %d bytes, mode %v: %v", e.Path, len(got), n.Mode, err)
			}
			if n.Size > 0 {
				if _, err := r.Read(n, n.Size-1); err == nil {
					t.Errorf("%s was read, and is larger than wanted", e.Path)
				}
			}
		}
		for _, none := range []string{"", "..", "many/", "none", "empty/x", "many/none"} {
			if _, err := r.Lookup(none); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%q: %v", none, err)
			}
		}
	}
}

// Images of mksquashfs are read as well.
func TestReadMksquashfs(t *testing.T) {
	dir := t.TempDir()
	want := map[string][]byte{}
	for name, data := range map[string][]byte{"small": []byte("x"), "empty": nil, "text": text(300000), "noise": noise(4, 300000), "holes": append(make([]byte, 1<<20), noise(5, 9)...)} {
		want[name] = data
		if err := os.MkdirAll(filepath.Join(dir, "lib", "below"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "lib", "below", name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"-comp", "gzip"}, {"-comp", "zstd", "-b", "256K"}, {"-comp", "gzip", "-no-fragments", "-noI"}, {"-comp", "zstd", "-noD", "-noF"}} {
		path := filepath.Join(t.TempDir(), "image")
		run(t, "mksquashfs", append([]string{dir, path, "-quiet", "-no-progress"}, args...)...)
		r := opened(t, path)
		for name, data := range want {
			n, err := r.Lookup("lib/below/" + name)
			if err != nil {
				t.Errorf("%q: %v", args, err)
				continue
			}
			if got, err := r.Read(n, 1<<30); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%q: %s: %d bytes, want %d: %v", args, name, len(got), len(data), err)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "image")
	run(t, "mksquashfs", dir, path, "-quiet", "-no-progress", "-comp", "xz")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReader(bytes.NewReader(data)); err == nil || err.Error() != "read squashfs: compression 4 is not one that is read: zstd and gzip are" {
		t.Errorf("xz: %v", err)
	}
}

// A damaged image ends in an error or in other contents, and in nothing worse.
func TestReadDamaged(t *testing.T) {
	data, err := os.ReadFile(image(t, []Entry{Bytes("lib/dpkg/status", 0o644, text(200000)), Bytes("a", 0o644, noise(1, 5000))}, Options{Compression: Gzip}))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	failed := 0
	for range 3000 {
		bad := bytes.Clone(data)
		for range 1 + r.IntN(4) {
			at := r.IntN(superblockSize)
			if r.IntN(2) == 0 {
				at = len(bad) - 1 - r.IntN(min(len(bad), 4500))
			}
			bad[at] ^= byte(1 + r.IntN(255))
		}
		if f, err := OpenReader(bytes.NewReader(bad)); err != nil {
			failed++
		} else if n, err := f.Lookup("lib/dpkg/status"); err != nil {
			failed++
		} else if _, err := f.Read(n, 1<<20); err != nil {
			failed++
		}
	}
	if failed < 1000 {
		t.Errorf("only %d of 3000 were noticed", failed)
	}
	if _, err := OpenReader(bytes.NewReader(data[:90])); err == nil {
		t.Error("a superblock that is cut short was read")
	}
}
