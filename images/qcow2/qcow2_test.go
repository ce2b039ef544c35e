package qcow2

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/internal/testtool"
)

func qemu(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.Command(testtool.Path(t, "qemu-img"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img %q: %v\n%s", args, err, out)
	}
}

// raw is a disk with data at a few places, not a whole number of clusters long.
func raw(t testing.TB, size int64) (string, *sparse.File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{0, 70000, 600 << 20, size - 3} {
		if at+3 <= size {
			if _, err := f.WriteAt([]byte("abc"), at); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, err := sparse.NewFile(f)
	if err != nil {
		t.Fatal(err)
	}
	return path, c
}

func write(t testing.TB, c sparse.Content) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Write(f, c); err != nil {
		t.Fatal(err)
	}
	return path
}

// QEMU reads what is written, finds no fault in it, and the same disk gives the
// same bytes, whatever the format that it is read from.
func TestWrite(t *testing.T) {
	for _, size := range []int64{512, 65536, 1<<30 + 512, 2 << 30} {
		path, c := raw(t, size)
		image := write(t, c)
		qemu(t, "check", "-q", "-f", "qcow2", image)
		qemu(t, "compare", "-q", "-f", "raw", "-F", "qcow2", path, image)
		first, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Open(bytes.NewReader(first), int64(len(first)))
		if err != nil || m.Size() != size {
			t.Fatalf("read back: %v", err)
		}
		second, err := os.ReadFile(write(t, m))
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%d: written again from itself, it differs (%v)", size, err)
		}
	}
}

// What QEMU writes is read: plain, compressed, older, with other clusters.
func TestRead(t *testing.T) {
	path, c := raw(t, 700<<20+512)
	for _, args := range [][]string{{}, {"-c"}, {"-o", "compat=0.10"}, {"-o", "cluster_size=512"}, {"-c", "-o", "cluster_size=2M"}, {"-o", "preallocation=metadata"}} {
		image := filepath.Join(t.TempDir(), "image")
		qemu(t, append(append([]string{"convert", "-f", "raw", "-O", "qcow2"}, args...), path, image)...)
		f, err := os.Open(image)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		m, err := Open(f, info.Size())
		if err != nil {
			t.Fatal(err)
		}
		if !same(t, m, c) {
			t.Errorf("%q: it differs", args)
		}
	}
}

// same compares what is not holes, both ways.
func same(t *testing.T, a, b sparse.Content) bool {
	equal := a.Size() == b.Size()
	for _, pair := range [][2]sparse.Content{{a, b}, {b, a}} {
		err := sparse.Runs(pair[0], 4096, func(at int64, data []byte) error {
			other := make([]byte, len(data))
			if _, err := pair[1].ReadAt(other, at); err != nil && err != io.EOF {
				return err
			}
			equal = equal && bytes.Equal(data, other)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return equal
}

func TestRefused(t *testing.T) {
	_, c := raw(t, 1<<20)
	whole, err := os.ReadFile(write(t, c))
	if err != nil {
		t.Fatal(err)
	}
	be := binary.BigEndian
	for name, tc := range map[string]struct {
		change func([]byte) []byte
		want   string
	}{
		"no image":     {func(b []byte) []byte { b[0] = 0; return b }, "it is not a qcow2 image"},
		"version":      {func(b []byte) []byte { be.PutUint32(b[4:], 1); return b }, "its version is 1"},
		"backing file": {func(b []byte) []byte { be.PutUint64(b[8:], 600); return b }, "it is a layer over another file: make a plain copy with `qemu-img convert"},
		"encrypted":    {func(b []byte) []byte { be.PutUint32(b[32:], 1); return b }, "it is encrypted"},
		"snapshots":    {func(b []byte) []byte { be.PutUint32(b[60:], 2); return b }, "it holds 2 internal snapshots"},
		"dirty":        {func(b []byte) []byte { b[79] = 1; return b }, "it was not closed cleanly"},
		"damaged":      {func(b []byte) []byte { b[79] = 2; return b }, "it is marked as damaged"},
		"data file":    {func(b []byte) []byte { b[79] = 4; return b }, "features 0x4 that are not known"},
		"zstd":         {func(b []byte) []byte { b[79], b[104] = 8, 1; return b }, "another method than zlib"},
		"cut short":    {func(b []byte) []byte { return b[:cluster*2] }, "cut short or damaged, get it again"},
		"small table":  {func(b []byte) []byte { be.PutUint64(b[24:], 1<<40); return b }, "its first table has 1 entries"},
	} {
		t.Run(name, func(t *testing.T) {
			b := tc.change(bytes.Clone(whole))
			if _, err := Open(bytes.NewReader(b), int64(len(b))); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// Whatever opens can be walked through without a panic or more memory than a few
// tables.
func FuzzOpen(f *testing.F) {
	_, c := raw(f, 300000)
	image, err := os.ReadFile(write(f, c))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(image)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Open(bytes.NewReader(data), int64(len(data)))
		if err != nil || m.Size() > 1<<32 {
			return
		}
		buf := make([]byte, 4096)
		for at, reads := int64(0), 0; at < m.Size() && reads < 1000; reads++ {
			from, to, err := m.Next(at)
			if err != nil {
				return
			}
			if from < at || to < from || from < m.Size() && to == from {
				t.Fatalf("after %d comes %d to %d", at, from, to)
			}
			if _, err := m.ReadAt(buf, from); err != nil && err != io.EOF {
				return
			}
			at = to
		}
	})
}
