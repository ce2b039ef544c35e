package bake

import (
	"context"
	"errors"
	"fmt"

	"github.com/imgforge/imgforge/images/btrfs"
	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/images/ext4"
	"github.com/imgforge/imgforge/images/fat"
	"github.com/imgforge/imgforge/images/sparse"
)

// edit puts the config into the partition in which the distribution looks for it.
func (b *baking) edit(ctx context.Context) (map[int]sparse.Content, error) {
	if b.drive != "" {
		return nil, nil
	}
	e, err := b.config.find(b.table)
	if err != nil {
		return nil, err
	}
	c, err := b.section(e)
	if err != nil {
		return nil, err
	}
	if err := b.neverBooted(); err != nil {
		return nil, err
	}
	kind, _ := probe(c)
	var edited sparse.Content
	switch {
	case b.Kind == FCOS:
		edited, err = b.inExt4(ctx, c, b.coreos)
	case kind == "btrfs":
		edited, err = b.oemBtrfs(c)
	default:
		edited, err = b.inExt4(ctx, c, b.oemExt4)
	}
	if err != nil {
		return nil, fmt.Errorf("partition %d %q: %w", e.Number, e.Label, err)
	}
	return map[int]sparse.Content{e.Number: edited}, nil
}

// flatcarFirstBoot is the file on EFI-SYSTEM for which Flatcar's GRUB asks for
// Ignition; the initrd deletes it.
const flatcarFirstBoot = "flatcar/first_boot"

// neverBooted refuses an image of Flatcar on which Ignition would not run. Of Fedora
// CoreOS the boot file system tells, see [baking.coreos].
func (b *baking) neverBooted() error {
	if b.Kind != Flatcar {
		return nil
	}
	e, err := b.table.Labelled("EFI-SYSTEM")
	if err != nil {
		return err
	}
	c, err := b.section(e)
	if err != nil {
		return err
	}
	there, err := fat.Exists(c, flatcarFirstBoot)
	if err == nil && !there {
		err = fmt.Errorf("%s is missing: the image was booted, Ignition would not run again; start from the distribution's own image", flatcarFirstBoot)
	}
	if err != nil {
		return fmt.Errorf("partition %d %q: %w", e.Number, e.Label, err)
	}
	return nil
}

// oemConfig is the file that Flatcar's initrd takes for the user's config
// (bootengine, ignition-setup).
const oemConfig = "config.ign"

// oemBtrfs adds the config to Flatcar's OEM partition, which stays btrfs: GRUB, which
// reads grub.cfg there, carries no other file system for it.
func (b *baking) oemBtrfs(c sparse.Content) (sparse.Content, error) {
	f, err := btrfs.Read(c)
	if err != nil {
		return nil, err
	}
	err = f.Add(btrfs.File{Name: oemConfig, Mode: 0o600, Time: b.Time, Contents: b.Config})
	if errors.Is(err, btrfs.ErrExists) {
		return nil, used(oemConfig)
	}
	if err != nil {
		return nil, err
	}
	return f.Content()
}

// oemExt4 is [baking.oemBtrfs] for releases before btrfs.
func (b *baking) oemExt4(ctx context.Context, e *ext4.Editor) error {
	there, err := e.Exists(ctx, "/"+oemConfig)
	if err != nil {
		return err
	}
	if there {
		return used(oemConfig)
	}
	return e.Write(ctx, ext4.File{Path: "/" + oemConfig, Mode: 0o600, FolderMode: 0o755, Contents: b.Config})
}

func used(name string) error {
	return fmt.Errorf("%s is there already: start from the distribution's own image", name)
}

// inExt4 copies a partition into a file without a name and edits it there.
func (b *baking) inExt4(ctx context.Context, c sparse.Content, change func(context.Context, *ext4.Editor) error) (sparse.Content, error) {
	f, err := disk.Scratch(b.temp)
	if err != nil {
		return nil, err
	}
	b.close = append(b.close, f)
	if err := sparse.WriteRaw(f, c); err != nil {
		return nil, err
	}
	e, err := ext4.Edit(ctx, f, b.Time)
	if err != nil {
		return nil, err
	}
	if err := change(ctx, e); err != nil {
		return nil, err
	}
	return sparse.NewFile(f)
}
