//go:build lab

package squashfs

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

// The kernel mounts the image, finds every name, and sees labels and holes.
func TestKernelMounts(t *testing.T) {
	testtool.Root(t)
	if known, err := os.ReadFile("/proc/filesystems"); err != nil || !strings.Contains(string(known), "squashfs") {
		testtool.Skip(t, "a kernel that mounts squashfs is needed")
	}
	for _, o := range []Options{{}, {Compression: Gzip}, {BlockSize: 4096}} {
		dir := t.TempDir()
		run(t, "mount", "-t", "squashfs", "-o", "ro,loop", image(t, all(), o), dir)
		same(t, dir, all())
		value := make([]byte, 100)
		for _, name := range []string{"usr/bin/labelled", "usr/folder"} {
			if n, err := syscall.Getxattr(filepath.Join(dir, name), "security.selinux", value); err != nil || string(value[:n]) != label {
				t.Errorf("%s: the label is %q (%v)", name, value[:max(n, 0)], err)
			}
		}
		var st syscall.Stat_t
		if err := syscall.Stat(filepath.Join(dir, "usr/zeros"), &st); err != nil || st.Blocks != 0 {
			t.Errorf("zeros take %d sectors (%v)", st.Blocks, err)
		}
		run(t, "umount", dir)
	}
}

// A file, and the place of another, may lie beyond what 32 bits count.
func TestKernelReadsLargeFiles(t *testing.T) {
	testtool.Root(t)
	const size = 5<<30 + 12345
	large := Entry{Path: "a/large", Mode: 0o644, Size: size, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(io.LimitReader(zeros{}, size-3), strings.NewReader("end"))), nil
	}}
	// What does not compress makes the image large; the file after it lies far behind.
	block := noise(3, 1<<20)
	noisy := Entry{Path: "b/noise", Mode: 0o644, Size: 4200 << 20, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.LimitReader(&again{data: block}, 4200<<20)), nil
	}}
	behind := Bytes("c/behind", 0o644, noise(4, 200<<10))
	dir := t.TempDir()
	path := image(t, []Entry{large, noisy, behind}, Options{Level: 1, BlockSize: 1 << 20})
	run(t, "unsquashfs", "-s", path)
	run(t, "mount", "-t", "squashfs", "-o", "ro,loop", path, dir)
	defer run(t, "umount", dir)
	f, err := os.Open(filepath.Join(dir, "a/large"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	end := make([]byte, 10)
	if n, err := f.ReadAt(end, size-5); n != 5 || string(end[:5]) != "\x00\x00end" {
		t.Errorf("the large file ends in %q (%v)", end[:n], err)
	}
	same(t, dir, []Entry{behind})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// again repeats its data.
type again struct {
	data []byte
	at   int
}

func (a *again) Read(p []byte) (int, error) {
	n := copy(p, a.data[a.at:])
	a.at = (a.at + n) % len(a.data)
	return n, nil
}
