package squashfs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

const label = "system_u:object_r:bin_t:s0\x00"

// image writes entries into a file.
func image(t testing.TB, entries []Entry, o Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := Write(f, entries, o)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != size || size%4096 != 0 {
		t.Fatalf("%d bytes are announced, %d written (%v)", size, info.Size(), err)
	}
	return path
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testtool.Path(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// noise compresses badly, text well, and zeros are holes.
func noise(seed uint64, size int) []byte {
	data := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

func text(size int) []byte {
	return bytes.Repeat([]byte("what compresses well\n"), size/21+1)[:size]
}

func link(path, target string) Entry {
	return Entry{Path: path, Mode: fs.ModeSymlink | 0o777, Target: target}
}

// all is one of everything that the format distinguishes.
func all() []Entry {
	const block = 128 << 10
	odd := Bytes("owned/setuid", fs.ModeSetuid|0o755, []byte("x"))
	odd.UID, odd.GID, odd.ModTime = 1000, 70000, 1700000000
	labelled := Bytes("usr/bin/labelled", 0o755, text(300))
	labelled.Xattrs = map[string]string{"security.selinux": label, "user.note": "a"}
	holes := slices.Concat(text(block), make([]byte, 3*block), noise(9, block), make([]byte, 7))
	out := []Entry{
		odd, labelled,
		Bytes("empty", 0o600, nil),
		Bytes("one", 0o644, []byte("1")),
		Bytes("usr/block", 0o644, noise(1, block)),
		Bytes("usr/block-and-one", 0o644, noise(2, block+1)),
		Bytes("usr/text", 0o644, text(5*block+17)),
		Bytes("usr/holes", 0o644, holes),
		Bytes("usr/zeros", 0o644, make([]byte, 2*block)),
		Bytes("usr/small-zeros", 0o644, make([]byte, 100)),
		link("usr/lib", "block"),
		{Path: "usr/folder", Mode: fs.ModeDir | 0o700, ModTime: 12, Xattrs: map[string]string{"security.selinux": label}},
		{Path: "usr/dangling", Mode: fs.ModeSymlink | 0o777, Target: "../a/b", Xattrs: map[string]string{"security.selinux": label}},
	}
	for i := range 700 { // more than one run, and more than one block of inodes and listings
		out = append(out, Bytes(fmt.Sprintf("many/%s-%d", strings.Repeat("n", 150), i), 0o644, fmt.Appendf(nil, "%d", i)))
	}
	return out
}

func contents(t *testing.T, e Entry) []byte {
	t.Helper()
	r, err := e.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// same compares a folder that somebody unpacked or mounted with the entries.
func same(t *testing.T, dir string, entries []Entry) {
	t.Helper()
	for _, e := range entries {
		path := filepath.Join(dir, e.Path)
		info, err := os.Lstat(path)
		if err != nil {
			t.Error(err)
			continue
		}
		sys := info.Sys().(*syscall.Stat_t)
		if info.Mode() != e.Mode || sys.Uid != e.UID || sys.Gid != e.GID || uint32(sys.Mtim.Sec) != e.ModTime {
			t.Errorf("%s is %v of %d:%d at %d, want %v of %d:%d at %d", e.Path, info.Mode(), sys.Uid, sys.Gid, sys.Mtim.Sec, e.Mode, e.UID, e.GID, e.ModTime)
		}
		switch {
		case e.Mode.Type() == fs.ModeSymlink:
			if got, err := os.Readlink(path); err != nil || got != e.Target {
				t.Errorf("%s leads to %q (%v), want %q", e.Path, got, err, e.Target)
			}
		case e.Mode.IsRegular():
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, contents(t, e)) {
				t.Errorf("%s has %d bytes that are not its own (%v)", e.Path, len(got), err)
			}
		}
	}
}

// The format's own tools read every kind of entry back, in both compressions.
func TestUnsquashfsReadsBack(t *testing.T) {
	testtool.Root(t) // owners
	for _, o := range []Options{{Time: 5}, {Compression: Gzip, Time: 5, BlockSize: 4096}, {Level: 3, BlockSize: 1 << 20}} {
		path := image(t, all(), o)
		run(t, "unsquashfs", "-s", path)
		dir := filepath.Join(t.TempDir(), "out")
		run(t, "unsquashfs", "-no-progress", "-strict-errors", "-d", dir, path)
		same(t, dir, all())
		value := make([]byte, 100)
		n, err := syscall.Getxattr(filepath.Join(dir, "usr/bin/labelled"), "user.note", value)
		if err != nil || string(value[:n]) != "a" {
			t.Errorf("user.note is %q (%v)", value[:max(n, 0)], err)
		}
		if got := run(t, "unsquashfs", "-cat", path, "usr/bin/labelled"); got != string(text(300)) {
			t.Errorf("unsquashfs -cat gives %d other bytes", len(got))
		}
	}
}

// Neither the order of entries nor the number of workers is in the bytes.
func TestSameEntriesSameBytes(t *testing.T) {
	sum := func(entries []Entry, workers int) string {
		data, err := os.ReadFile(image(t, entries, Options{Workers: workers}))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x", sha256.Sum256(data))
	}
	entries := all()
	want := sum(entries, 1)
	for workers := 1; workers <= 7; workers += 2 {
		rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		if got := sum(entries, workers); got != want {
			t.Errorf("with %d workers and another order the image is another: %s, not %s", workers, got, want)
		}
	}
}

// What cannot be written is refused by name, and a source that breaks its word too.
func TestRefuses(t *testing.T) {
	broken := errors.New("the cable is out")
	source := func(size int64, r io.Reader) Entry {
		return Entry{Path: "a/b", Mode: 0o644, Size: size, Open: func() (io.ReadCloser, error) { return io.NopCloser(r), nil }}
	}
	for want, entries := range map[string][]Entry{
		`"a" is there twice`:                 {Bytes("a", 0o644, nil), Bytes("a", 0o644, nil)},
		`"a/b" lies below "a", which is no`:  {Bytes("a", 0o644, nil), Bytes("a/b", 0o644, nil)},
		`path "../a" must be relative`:       {Bytes("../a", 0o644, nil)},
		`path "/a" must be relative`:         {Bytes("/a", 0o644, nil)},
		`"pipe" is neither a folder`:         {{Path: "pipe", Mode: fs.ModeNamedPipe}},
		`link "l": its target`:               {link("l", "")},
		`a name has 256 bytes`:               {Bytes(strings.Repeat("n", 256), 0o644, nil)},
		`attribute "system.x"`:               {{Path: "d", Mode: fs.ModeDir, Xattrs: map[string]string{"system.x": ""}}},
		`file "a/b": it ends 2 bytes early`:  {source(7, strings.NewReader("12345"))},
		`file "a/b": it has more than the 3`: {source(3, strings.NewReader("12345"))},
		`file "a/b": the cable is out`:       {source(900000, io.MultiReader(bytes.NewReader(noise(1, 500000)), errReader{broken}))},
	} {
		_, err := Write(discard{}, entries, Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
	if _, err := Write(discard{}, nil, Options{BlockSize: 5000}); err == nil || !strings.Contains(err.Error(), "power of two") {
		t.Errorf("blocks of 5000 bytes: %v", err)
	}
	if _, err := Write(full{}, all(), Options{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk the error is %v", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

type discard struct{}

func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

type full struct{}

func (full) WriteAt([]byte, int64) (int, error) { return 0, syscall.ENOSPC }

// FuzzSizes has the format's own tool read files of any sizes and kinds of contents.
func FuzzSizes(f *testing.F) {
	f.Add(uint32(0), uint32(4096), uint32(4097), byte(0))
	f.Add(uint32(131072), uint32(1), uint32(300000), byte(1))
	f.Add(uint32(8191), uint32(262144), uint32(40000), byte(2))
	f.Fuzz(func(t *testing.T, a, b, c uint32, kind byte) {
		var entries []Entry
		for i, size := range []uint32{a, b, c} {
			data := text(int(size % 600000))
			switch (int(kind) + i) % 3 {
			case 1:
				data = noise(uint64(a)+uint64(i), len(data))
			case 2:
				clear(data[len(data)/3:])
			}
			entries = append(entries, Bytes(fmt.Sprintf("d%d/f", i), 0o644, data))
		}
		o := Options{BlockSize: 4096 << (kind % 6), Compression: []Compression{Zstd, Gzip}[kind%2], Level: 1}
		path := image(t, entries, o)
		for _, e := range entries {
			if out, err := exec.Command(testtool.Path(t, "unsquashfs"), "-cat", path, e.Path).Output(); err != nil || !bytes.Equal(out, contents(t, e)) {
				t.Fatalf("%s has %d other bytes (%v)", e.Path, len(out), err)
			}
		}
	})
}
