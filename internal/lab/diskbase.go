package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/imgforge/imgforge/images/debianbase"
	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/images/fat"
	"github.com/imgforge/imgforge/images/gpt"
	"github.com/imgforge/imgforge/images/squashfs"
)

// baseImage is the disk of imgforge's base in a folder of the cache.
const baseImage = "base.img"

// BaseDisk is a folder with the disk of imgforge's base, as `imgforge base` writes it
// from the packages of this machine's archive, from the cache.
func (l *Lab) BaseDisk(ctx context.Context) (string, error) {
	job, names, err := l.baseJob(ctx, "qemu")
	if err != nil {
		return "", err
	}
	content, err := job.Key()
	if err != nil {
		return "", err
	}
	dir, err := l.cached("basedisk", keyOf([]string{"base disk 1", content}), func(dir string) error {
		l.logf("making the disk of imgforge's base")
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		job.Output = filepath.Join(dir, baseImage)
		if err := l.withPackages(ctx, job, names, func(job debianbase.Job) error { return debianbase.Build(ctx, job) }); err != nil {
			return err
		}
		return keepStatus(job.Output, filepath.Join(dir, "var/lib/dpkg"))
	})
	if err != nil {
		return "", err
	}
	return dir, l.prune("basedisk", dir)
}

// partition opens a disk and calls use with the partition of a label.
func partition(path, label string, use func(*io.SectionReader) error) error {
	made, err := disk.Open(path, "")
	if err != nil {
		return err
	}
	defer made.Close()
	table, err := gpt.Read(made, made.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	found, err := table.Labelled(label)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	at, size := table.ByteRange(found)
	if err := use(io.NewSectionReader(made, at, size)); err != nil {
		return fmt.Errorf("%s: partition %s: %w", path, label, err)
	}
	return nil
}

// keepStatus keeps the list of a base's packages where the report looks for one.
func keepStatus(image, dir string) error {
	const most = 16 << 20 // bytes
	return partition(image, "USR", func(r *io.SectionReader) error {
		usr, err := squashfs.OpenReader(r)
		if err != nil {
			return err
		}
		status, err := usr.Lookup("lib/dpkg/status")
		if err != nil {
			return err
		}
		data, err := usr.Read(status, most)
		if err != nil {
			return err
		}
		return errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "status"), data, 0o644))
	})
}

// loaded is what the boot loader of a disk loads.
type loaded struct {
	kernel, initrd []byte
	arguments      []string // for the kernel, at every boot
}

// loadedBy reads them from the partition that the boot loader reads, by its own config.
func loadedBy(esp io.ReaderAt) (out loaded, err error) {
	config, err := fat.Read(esp, "grub/grub.cfg")
	if err != nil {
		return out, err
	}
	kernel, initrd := "", ""
	for line := range strings.Lines(string(config)) {
		switch words := strings.Fields(line); {
		case len(words) > 1 && words[0] == "linux":
			kernel, out.arguments = words[1], words[2:]
		case len(words) > 1 && words[0] == "initrd":
			initrd = words[1]
		}
	}
	if kernel == "" || initrd == "" {
		return out, errors.New("its boot loader names no kernel or no initrd")
	}
	// The last is Ignition's, which whoever loads them decides on anew at each boot.
	if last := len(out.arguments) - 1; last >= 0 && out.arguments[last] == "$first" {
		out.arguments = out.arguments[:last]
	}
	if out.kernel, err = fat.Read(esp, strings.TrimPrefix(kernel, "($root)/")); err != nil {
		return out, err
	}
	out.initrd, err = fat.Read(esp, strings.TrimPrefix(initrd, "($root)/"))
	return out, err
}
