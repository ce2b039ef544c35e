package bake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/imgforge/imgforge/images"
	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/images/gpt"
	"github.com/imgforge/imgforge/images/sparse"
)

// Job is one disk to make.
type Job struct {
	// Base is the path of the distribution's image, in any form that disk.Open knows.
	Base string
	Kind Kind
	// Config is what the distribution runs on first boot: an Ignition config, or for
	// Debian user-data.
	Config []byte
	// Instance is the instance id of a config that gets a partition of its own. It
	// must stay the same for as long as the node does.
	Instance string
	// Hostname is set where the disk is for one node and its config has a partition
	// of its own.
	Hostname string
	// Network is cloud-init's network config; empty for DHCP. Debian alone.
	Network []byte
	// Platform is the Ignition platform to boot Fedora CoreOS on; "" leaves metal.
	Platform string
	// Files are what the node needs beside its config. They go into a partition
	// labelled [PayloadLabel], which is read-only by its nature (ISO 9660).
	Files []images.Source
	// Size is that of the disk, in bytes; 0 for what is needed. The root file system
	// grows to the end of the disk on first boot.
	Size int64
	// Time is the time of all that is new, in seconds since 1970, at least 1.
	Time int64
	// Inspect sees the finished disk before any output is written, and may refuse it.
	Inspect func(context.Context, sparse.Content) error
	// Outputs are the files to write.
	Outputs []Output
}

// Output is one file with the disk.
type Output struct {
	Path   string
	Format string // of package disk
	Mode   fs.FileMode
}

// Report says what was found and made.
type Report struct {
	Packed string // how the base was packed
	Size   int64  // bytes of the new disk
	// Root is where the root partition begins in the base and in the disk, in bytes.
	RootBefore, RootAfter int64
}

// Bake makes the disk and writes it in every format asked for. Each output appears
// whole or not at all.
func Bake(ctx context.Context, j Job) (Report, error) {
	r, err := j.bake(ctx)
	if errors.Is(err, syscall.ENOSPC) && !strings.Contains(err.Error(), "free some space") {
		err = fmt.Errorf("%w: free some space in %s, where it unpacks and edits", err, filepath.Dir(j.Outputs[0].Path))
	}
	if err != nil {
		return r, fmt.Errorf("bake %s: %w", filepath.Base(j.Base), err)
	}
	return r, nil
}

// baking is a job at work.
type baking struct {
	Job
	layout
	base  sparse.Content
	table *gpt.Table
	temp  string // folder of files without names
	close []io.Closer
}

func (j Job) bake(ctx context.Context) (Report, error) {
	l, err := layoutOf(j.Kind)
	if err != nil {
		return Report{}, err
	}
	if err := j.check(); err != nil {
		return Report{}, err
	}
	b := &baking{Job: j, layout: l, temp: filepath.Dir(j.Outputs[0].Path)}
	defer func() {
		for _, c := range b.close {
			c.Close()
		}
	}()
	image, err := disk.Open(j.Base, b.temp)
	if err != nil {
		return Report{}, err
	}
	b.close = append(b.close, image)
	b.base = image
	if b.table, err = gpt.Read(image, image.Size()); err != nil {
		return Report{}, err
	}
	if err := b.known(); err != nil {
		return Report{}, fmt.Errorf("it is not an image of kind %s: %w", j.Kind, err)
	}
	r := Report{Packed: image.Packed}
	made, err := b.made(ctx, &r)
	if err != nil {
		return r, err
	}
	if j.Inspect != nil {
		if err := j.Inspect(ctx, made); err != nil {
			return r, err
		}
	}
	for _, o := range j.Outputs {
		if err := disk.Write(o.Path, o.Mode, o.Format, stoppable{made, ctx}); err != nil {
			return r, err
		}
	}
	return r, nil
}

// check refuses a job that makes no sense.
func (j Job) check() error {
	switch {
	case len(j.Outputs) == 0:
		return errors.New("no output is named")
	case len(j.Config) == 0:
		return errors.New("the config is empty")
	case j.Time < 1:
		return errors.New("the time of what is new must be at least 1 second after 1970")
	case j.overwrites() != "":
		return fmt.Errorf("the output %s is the base, or another output: name another file", j.overwrites())
	case j.Platform != "" && j.Kind != FCOS:
		return fmt.Errorf("a platform is set for Fedora CoreOS alone: of %s take the image of the platform", j.Kind)
	}
	return nil
}

// overwrites is the first output that is the base or comes twice.
func (j Job) overwrites() string {
	base, err := os.Stat(j.Base)
	for i, o := range j.Outputs {
		if info, e := os.Stat(o.Path); err == nil && e == nil && os.SameFile(base, info) {
			return o.Path
		}
		if slices.ContainsFunc(j.Outputs[:i], func(p Output) bool { return filepath.Clean(p.Path) == filepath.Clean(o.Path) }) {
			return o.Path
		}
	}
	return ""
}

// known wants every partition of the layout, with its file system, and none of ours.
func (b *baking) known() error {
	for _, p := range b.partitions {
		e, err := p.find(b.table)
		if err != nil {
			return err
		}
		c, err := b.section(e)
		if err != nil {
			return err
		}
		if err := p.check(c); err != nil {
			return fmt.Errorf("partition %d %q: %w", e.Number, e.Label, err)
		}
	}
	for _, label := range []string{PayloadLabel, images.CIDataLabel, images.ConfigDriveLabel} {
		if e, err := b.table.Labelled(label); err == nil {
			return fmt.Errorf("it has a partition %d %q already: start from the distribution's own image", e.Number, label)
		}
	}
	return nil
}

func (b *baking) section(e gpt.Entry) (sparse.Content, error) {
	at, size := b.table.ByteRange(e)
	return sparse.Section(b.base, at, size)
}

// stoppable ends a copy when its context does.
type stoppable struct {
	sparse.Content
	ctx context.Context
}

func (s stoppable) ReadAt(p []byte, at int64) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Content.ReadAt(p, at)
}
