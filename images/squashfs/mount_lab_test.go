//go:build lab

package squashfs

import (
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
