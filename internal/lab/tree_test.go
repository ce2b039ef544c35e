//go:build lab

package lab

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/imgforge/imgforge/images/debianbase"
)

// What containers boot is the base, with owners, modes and attributes as its image has them.
func TestTreeIsTheBase(t *testing.T) {
	b := newTrial(t, "tinc-vip")
	tree, err := b.Tree(t.Context())
	must(t, err)
	t.Log(tree)
	usr := filepath.Join(tree, "usr")
	for _, path := range []string{"lib/systemd/system-preset/80-imgforge.preset", "sbin/tincd", debianbase.FirstRoot + "/etc/machine-id", debianbase.FirstRoot + "/etc/passwd"} {
		if _, err := os.Stat(filepath.Join(usr, path)); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{"sbin/sshd", "bin/kubelet", "bin/containerd", "bin/runc"} {
		if _, err := os.Lstat(filepath.Join(usr, path)); err == nil {
			t.Errorf("the base has /usr/%s", path)
		}
	}
	if info, err := os.Stat(filepath.Join(usr, "bin/mount")); err != nil || info.Mode()&os.ModeSetuid == 0 {
		t.Errorf("mount has lost its mode: %v, %v", info, err)
	}
	value := make([]byte, 64)
	if n, err := syscall.Getxattr(filepath.Join(usr, "bin/ping"), "security.capability", value); err != nil || n == 0 {
		t.Errorf("ping has lost its capability: %v", err)
	}
	again, err := b.Tree(t.Context())
	must(t, err)
	if again != tree {
		t.Errorf("the same packages give %s and %s", tree, again)
	}
}
