package forge

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/debianbase"
)

// BaseOptions say which base is made.
type BaseOptions struct {
	LockOptions
	// Output is the file, and Format its form: raw, qcow2 or raw.zst.
	Output, Format string
	Arch           string
	// Platform is Ignition's, and Arguments are for the kernel.
	Platform  string
	Arguments []string
	// GiB is the size of the disk; 0 for the smallest that is sensible.
	GiB int
}

// Base makes imgforge's own base image from the Debian packages that are locked, and
// says what was made. The file appears whole or not at all.
func (a *App) Base(ctx context.Context, o BaseOptions) (string, error) {
	if err := o.check(); err != nil {
		return "", err
	}
	l, err := a.locking(o.LockOptions)
	if err != nil {
		return "", err
	}
	if family := l.plan.OS.Family; family != "imgforge" {
		return "", invalidAt(l.cluster, "os.family", fmt.Sprintf("nodes of family %s boot the image of its project, and imgforge makes none of it", family), "write imgforge, or use that image")
	}
	if l.plan.OS.Arch != o.Arch {
		return "", invalidAt(l.cluster, "os.arch", fmt.Sprintf("the base is made for %s alone, and the nodes are %s", o.Arch, l.plan.OS.Arch), "write "+o.Arch)
	}
	found, err := l.present()
	if err != nil {
		return "", err
	}
	if p := found.Check(l.wanted); len(p) > 0 {
		return "", fmt.Errorf("%s:%d: %s: %s: the lock does not belong to this cluster file; run `imgforge lock`", l.path, p[0].Line, p[0].Path, p[0].Message)
	}
	when, err := found.Debian.Moment()
	if err != nil {
		return "", fmt.Errorf("%s:%d: %w", l.path, found.Line("debian.snapshot"), err)
	}
	files, err := found.FetchPackages(ctx, l.resolver.Cache, catalog.UseBase)
	if err != nil {
		return "", err
	}
	j := debianbase.Job{Time: when.Unix(), Platform: o.Platform, Arguments: o.Arguments, Size: int64(o.GiB) << 30, Output: o.Output, Format: o.Format, Logf: a.logf}
	for _, f := range files {
		j.Packages = append(j.Packages, debianbase.Package(f))
	}
	if err := debianbase.Build(ctx, j); err != nil {
		return "", err
	}
	info, err := os.Stat(o.Output)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("wrote %s: %s, of %s as of %s", o.Output, cache.Bytes(info.Size()), Counted(len(files), "Debian package"), found.Debian.Snapshot), nil
}

// check refuses what cannot be made before anything is read.
func (o BaseOptions) check() error {
	if o.Arch != "amd64" {
		return invalid("", fmt.Sprintf("--arch %s: the base is made for amd64 alone", o.Arch), "leave --arch out, and take another os.family for other machines")
	}
	if o.GiB < 0 || o.GiB > 1<<20 {
		return invalid("", fmt.Sprintf("--size %d: that is no size of a disk", o.GiB), "write GiB, as in --size 8")
	}
	if info, err := os.Stat(o.Output); err == nil && !info.Mode().IsRegular() {
		return invalid("", fmt.Sprintf("-o %s: it is no file", o.Output), "name a file; the disk of a machine is written with dd")
	}
	if _, err := os.Stat(filepath.Dir(o.Output)); err != nil {
		return fmt.Errorf("write the base: %w: make the folder first", err)
	}
	_, err := debianbase.Job{Platform: o.Platform, Arguments: o.Arguments, Format: o.Format, Size: int64(o.GiB) << 30}.Sensible()
	if err != nil {
		return invalid("", err.Error(), "see imgforge base --help")
	}
	return nil
}
