package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/imgforge/imgforge/internal/plan"
)

// System is what virtual machines boot: the disk of imgforge's base with the kernel that
// lies on it, and a second disk with what a baked node has on its own. Machines write to
// layers of their own over both. Making them needs root; booting them does not.
type System struct {
	// Kernel is the one on the disk. Initrd is that on the disk, and behind it the
	// lab's config for Ignition.
	Kernel, Initrd string
	Base, Lab      string
	// Arguments are those of the disk's boot loader.
	Arguments []string
	// KVM tells that the processor runs machines here itself.
	KVM bool
}

// Files of a system, beside the base's disk.
const (
	labImage    = "lab.img"
	kernelFile  = "vmlinuz"
	initrdFile  = "initrd"
	labDiskSize = "8G" // what a machine sees; the file takes what is in it
)

// System is a folder of what machines of a plan boot, with an image store that holds
// refs, from the cache.
func (l *Lab) System(ctx context.Context, p *plan.Plan, store string, refs []string) (dir string, err error) {
	base, err := l.BaseDisk(ctx)
	if err != nil {
		return "", fmt.Errorf("make the disk of virtual machines: %w", err)
	}
	config, err := machineIgnition()
	if err != nil {
		return "", err
	}
	err = l.machineExtensions(ctx, p, func(extensions []packed) error {
		key := []string{"disk 3", filepath.Base(base), filepath.Base(store), string(config)}
		for _, e := range extensions {
			key = append(key, e.name, e.content)
		}
		dir, err = l.cached("disk", keyOf(key), func(dir string) error {
			return l.makeSystem(ctx, dir, filepath.Join(base, baseImage), store, config, refs, extensions)
		})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("make the disks of virtual machines: %w", err)
	}
	return dir, l.prune("disk", dir)
}

// makeSystem fills the folder.
func (l *Lab) makeSystem(ctx context.Context, dir, base, store string, config []byte, refs []string, extensions []packed) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	var has loaded
	err := partition(base, "EFI-SYSTEM", func(esp *io.SectionReader) (err error) {
		has, err = loadedBy(esp)
		return err
	})
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{kernelFile: has.kernel, initrdFile: withConfig(has.initrd, config)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Link(base, filepath.Join(dir, baseImage)), describeSystem(dir, has.arguments, refs)); err != nil {
		return err
	}
	return l.writeLabDisk(ctx, filepath.Join(dir, labImage), store, extensions)
}

// writeLabDisk writes the second disk, an ext4 file system, without mounting anything:
// packed extensions, bundles, and containerd's folder, into which the code of a node has
// imported them.
func (l *Lab) writeLabDisk(ctx context.Context, path, store string, extensions []packed) error {
	l.logf("making the lab's disk for virtual machines")
	root := path + ".root"
	defer os.RemoveAll(root)
	if err := os.MkdirAll(filepath.Join(root, "extensions"), 0o755); err != nil {
		return err
	}
	for _, e := range extensions {
		if err := e.file(filepath.Join(root, "extensions", e.name+".raw")); err != nil {
			return err
		}
	}
	if _, err := l.run(ctx, "cp", "-al", filepath.Join(store, bundlesFolder), filepath.Join(root, "bundles")); err != nil {
		return err
	}
	if err := l.copyStore(ctx, filepath.Join(store, storeFolder), filepath.Join(root, "containerd")); err != nil {
		return err
	}
	if _, err := l.run(ctx, "mke2fs", "-q", "-t", "ext4", "-L", "lab", "-E", "lazy_itable_init=1,root_owner=0:0", "-d", root, path, labDiskSize); err != nil {
		return err
	}
	return os.Chmod(path, 0o644) // machines of any user boot from it
}
