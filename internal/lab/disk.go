package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// System is what virtual machines boot: Debian's own kernel, an initrd that
// holds Ignition, and a disk that was never booted. Machines write to layers of
// their own over the disk. Making one needs root; booting it does not.
type System struct {
	Kernel, Initrd, Disk string
	// KVM tells that the processor runs machines here itself.
	KVM bool
}

// diskSize is what a machine sees. The file takes what is in it.
const diskSize = "8G"

// vmPackages are what a machine of its own carries beside a node's packages. The
// agent runs commands for the lab from outside, over a port that only qemu gives.
func vmPackages() []string {
	return append(nodePackages(), "linux-image-cloud-amd64", "dracut", "qemu-guest-agent")
}

// System is a folder with a kernel, an initrd and a disk of the Debian tree,
// programs and an image store that holds refs, from the cache.
func (l *Lab) System(ctx context.Context, programs []string, store string, refs []string) (string, error) {
	tree, err := l.bootTree(ctx)
	if err != nil {
		return "", err
	}
	key := []string{"disk 2", filepath.Base(tree), filepath.Base(store)}
	for _, name := range programs {
		sum, err := l.contentOf(name)
		if err != nil {
			return "", err
		}
		key = append(key, name, sum)
	}
	dir, err := l.cached("disk", keyOf(key), func(dir string) error {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		for _, name := range []string{"vmlinuz", "initrd"} {
			if err := readable(filepath.Join(tree, "boot", name), filepath.Join(dir, name)); err != nil {
				return err
			}
		}
		if err := describeSystem(dir, refs); err != nil {
			return err
		}
		return l.writeDisk(ctx, filepath.Join(dir, "root.img"), tree, store, programs)
	})
	if err != nil {
		return "", fmt.Errorf("make the disk of virtual machines: %w", err)
	}
	return dir, l.prune("disk", dir)
}

// readable copies a file so that machines of any user can boot from it.
func readable(from, to string) error {
	if err := copyBytes(from, to); err != nil {
		return err
	}
	return os.Chmod(to, 0o644)
}

// writeDisk writes an ext4 file system without mounting anything.
func (l *Lab) writeDisk(ctx context.Context, path, tree, store string, programs []string) error {
	l.logf("making the disk of virtual machines")
	root := path + ".root"
	defer os.RemoveAll(root)
	if _, err := l.run(ctx, "cp", "-al", tree, root); err != nil {
		return err
	}
	// The kernel and the initrd come from outside.
	if err := os.RemoveAll(filepath.Join(root, "boot")); err != nil {
		return err
	}
	if err := l.install(root, programs); err != nil {
		return err
	}
	if err := l.copyStore(ctx, filepath.Join(store, storeFolder), filepath.Join(root, "var/lib/containerd")); err != nil {
		return err
	}
	_, err := l.run(ctx, "mke2fs", "-q", "-t", "ext4", "-L", "root", "-E", "lazy_itable_init=1,root_owner=0:0", "-d", root, path, diskSize)
	return err
}

// install puts programs where a system extension would.
func (l *Lab) install(root string, programs []string) error {
	for _, name := range programs {
		folder, as := "usr/bin", name
		if plugin, ok := strings.CutPrefix(name, "cni-"); ok {
			folder, as = "opt/cni/bin", plugin
		}
		if err := l.place(filepath.Join(root, folder), name, as); err != nil {
			return err
		}
	}
	return nil
}

// bootTree is a Debian tree with a kernel and an initrd in /boot, from the cache.
func (l *Lab) bootTree(ctx context.Context) (string, error) {
	module, err := l.dracutModule(ctx)
	if err != nil {
		return "", fmt.Errorf("find what runs Ignition in an initrd: %w", err)
	}
	packages := vmPackages()
	key := append([]string{"boot tree 1", release, module.key, dracutConfig}, packages...)
	return l.cached("boot", keyOf(key), func(dir string) error {
		if os.Geteuid() != 0 {
			return errors.New("making the disk of virtual machines needs root; booting it does not: have root run this once with --system DIR, then name the same folder")
		}
		l.logf("making a Debian tree with a kernel, of %d packages and what they need", len(packages))
		stage, err := os.MkdirTemp(l.Cache, ".initrd-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(stage)
		hooks, err := module.hooks(stage)
		if err != nil {
			return err
		}
		if err := l.debian(ctx, dir, "minbase", packages, hooks...); err != nil {
			return err
		}
		return errors.Join(firstBoot(dir), os.WriteFile(filepath.Join(dir, "etc/fstab"), []byte("LABEL=root / ext4 defaults 0 1\n"), 0o644))
	})
}
