package debianbase

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/images/squashfs"
)

// Job is one base to make.
type Job struct {
	// Packages are all that are installed: [Packages], [MakingPackages], and everything
	// that they need.
	Packages []Package
	// Time is that of everything inside, in seconds since 1970: at least that of 1980.
	Time int64
	// Platform is Ignition's, one of [Platforms].
	Platform string
	// Arguments are for the kernel, beside those that the base needs.
	Arguments []string
	// Size is that of the disk in bytes; 0 for [Size].
	Size int64
	// Output is the file, and Format one of package disk's.
	Output, Format string
	// Logf says what is being done; it may be nil.
	Logf func(format string, a ...any)
}

// Size is that of a disk when nobody says another, in bytes. What is empty takes no
// room in the file, and the root file system grows with the disk that it boots on.
const Size = 4 << 30

// Build makes the base. The file appears whole or not at all. The same job gives the
// same bytes.
func Build(ctx context.Context, j Job) error {
	if err := j.check(); err != nil {
		return fmt.Errorf("make base: %w", err)
	}
	if err := j.build(ctx); err != nil {
		return fmt.Errorf("make base %s: %w", j.Output, err)
	}
	return nil
}

func (j *Job) check() error {
	made, err := j.Sensible()
	if err != nil {
		return err
	}
	*j = made
	if j.Time < 315532800 || j.Time > 1<<32-1 {
		return fmt.Errorf("%d seconds since 1970 are outside of what the file systems inside can say: from 1980 to 2106", j.Time)
	}
	return j.complete()
}

// Sensible is the job with what is left out filled in, when what it says besides its
// packages can be made.
func (j Job) Sensible() (Job, error) {
	if j.Size == 0 {
		j.Size = Size
	}
	if j.Format == "" {
		j.Format = disk.Raw
	}
	switch {
	case !slices.Contains(Platforms(), j.Platform):
		return j, fmt.Errorf("on platform %q the base finds no config without a drive: use one of %s, and bake the config for all others", j.Platform, strings.Join(Platforms(), ", "))
	case !slices.Contains(disk.Formats(), j.Format):
		return j, fmt.Errorf("there is no image format %q: use one of %q", j.Format, disk.Formats())
	case j.Size%align != 0 || j.Size < 1<<30:
		return j, fmt.Errorf("the size of %d bytes is not a multiple of %d, or below 1 GiB", j.Size, align)
	}
	for _, a := range j.Arguments {
		if a == "" || strings.ContainsAny(a, " \t\n\"'$;&|{}<>#\\") {
			return j, fmt.Errorf("the kernel argument %q has characters that the boot loader would take for its own", a)
		}
	}
	return j, nil
}

// complete wants every package that the base is made for.
func (j *Job) complete() error {
	var lacking []string
	for _, name := range slices.Concat(Packages(), MakingPackages()) {
		if !slices.ContainsFunc(j.Packages, func(p Package) bool { return p.Name == name }) {
			lacking = append(lacking, name)
		}
	}
	if len(lacking) > 0 {
		return fmt.Errorf("it lacks the packages %s", strings.Join(lacking, ", "))
	}
	return nil
}

func (j Job) logf(format string, a ...any) {
	if j.Logf != nil {
		j.Logf(format, a...)
	}
}

// usable tells whether the system can be installed below a folder: apt and the hooks
// of mmdebstrap take its path as it is, and who installs in a namespace, being another
// user there, may pass through every folder above.
func usable(dir string) bool {
	for at := dir; os.Geteuid() != 0; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	return !strings.ContainsFunc(dir, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/._-+", r)
	})
}

// scratch makes a folder to work in: beside the output, where there is room for it,
// else where temporary files go.
func (j Job) scratch() (string, error) {
	beside, err := filepath.Abs(filepath.Dir(j.Output))
	if err != nil {
		return "", err
	}
	for _, at := range []string{beside, os.TempDir()} {
		if !usable(at) {
			continue
		}
		dir, err := os.MkdirTemp(at, ".imgforge-base-")
		if err != nil {
			return "", err
		}
		// Who installs in a namespace is another user there.
		return dir, os.Chmod(dir, 0o755)
	}
	return "", fmt.Errorf("the system can be installed neither in %s nor in %s: the path must have letters, digits and ._-+ alone and, without root, every folder above must let others pass; name such a folder in TMPDIR", beside, os.TempDir())
}

func (j Job) build(ctx context.Context) error {
	return j.installed(ctx, func(dir string, p *parts) error {
		made, err := j.disk(ctx, dir, p)
		if err != nil {
			return err
		}
		defer made.close()
		j.logf("writing %s", j.Output)
		return disk.Write(j.Output, 0o644, j.Format, stoppable{made, ctx})
	})
}

// installed calls use with a folder to work in and the installed system, which last as
// long as the call.
func (j Job) installed(ctx context.Context, use func(dir string, p *parts) error) error {
	dir, err := j.scratch()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	j.logf("installing %d packages", len(j.Packages))
	archive := filepath.Join(dir, "system.tar")
	if err := j.install(ctx, dir, archive); err != nil {
		return err
	}
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	p, err := split(f, uint32(j.Time))
	if err != nil {
		return err
	}
	return use(dir, p)
}

// Usr makes the system of a job and calls use with all that the base has in /usr, for
// whoever runs it without the disk: what is in [FirstRoot] is copied from there to an
// empty root at the first boot. Entries can be read until the call returns. The job is
// one for Build; Output names the folder to work beside.
func Usr(ctx context.Context, j Job, use func([]squashfs.Entry) error) error {
	if err := j.check(); err != nil {
		return fmt.Errorf("make the system of the base: %w", err)
	}
	if err := j.installed(ctx, func(_ string, p *parts) error { return use(p.usr) }); err != nil {
		return fmt.Errorf("make the system of the base: %w", err)
	}
	return nil
}

// Key names the content of a job: it is what identifiers inside follow from.
func (j Job) Key() (string, error) {
	h := sha256.New()
	for _, p := range slices.SortedFunc(slices.Values(j.Packages), func(a, b Package) int { return strings.Compare(a.Name, b.Name) }) {
		fmt.Fprintf(h, "%s %s\n", p.Name, p.SHA256)
	}
	fmt.Fprintf(h, "%d %d %s %q\n", j.Time, j.Size, j.Platform, j.Arguments)
	for _, from := range []fs.FS{initrd, system} {
		err := fs.WalkDir(from, ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := fs.ReadFile(from, name)
			fmt.Fprintf(h, "%s %d\n%s", name, len(data), data)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
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
