package lock

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/imgforge/imgforge/images/bundle"
	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/deb"
	"github.com/imgforge/imgforge/images/registry"
	"github.com/imgforge/imgforge/images/sysext"
)

// ProgramFiles are those files of a system extension that the lock pins, out of a
// cache that holds all of it. Programs from Debian packages are left to
// [sysext.FromPackages], and what the lock has nothing to do with to the caller.
func (l *Lock) ProgramFiles(c *cache.Cache, wanted []sysext.Program) ([]sysext.File, error) {
	var out []sysext.File
	for _, w := range wanted {
		of, ok := l.holder(w)
		if w.Debian != "" || !ok {
			continue
		}
		f, err := l.programFile(c, of, w)
		if err != nil {
			return nil, fmt.Errorf("take %s out of %s %s: %w", w.Name, of.Name, of.Version, err)
		}
		f.Path, f.Mode, f.Origin = w.Path, 0o755, of.Name+" "+of.Version
		out = append(out, f)
	}
	return out, nil
}

// holder is the pinned file that has a program: itself, or an archive.
func (l *Lock) holder(w sysext.Program) (Program, bool) {
	switch w.Name {
	case "containerd", "containerd-shim-runc-v2", "ctr":
		return l.program(catalog.Containerd)
	}
	if path.Dir(w.Path) == sysext.CNIFolder {
		return l.program(catalog.CNIPlugins)
	}
	return l.program(w.Name)
}

func (l *Lock) programFile(c *cache.Cache, of Program, w sysext.Program) (sysext.File, error) {
	switch of.Name {
	case catalog.CNIPlugins, catalog.Containerd, catalog.Crictl:
		return member(c, of.Digest, w.Name)
	}
	if of.Digest.Algorithm() != cache.SHA256 {
		return sysext.File{}, fmt.Errorf("%s is no sha256 digest", of.Digest)
	}
	blob, size, err := c.Open(of.Digest)
	if err != nil {
		return sysext.File{}, err
	}
	return sysext.File{Size: size, SHA256: of.Digest.Hex(), Open: func() (io.ReadCloser, error) {
		r, _, err := c.Open(of.Digest)
		return r, err
	}}, blob.Close()
}

// member is a file of an archive, found by the last part of its name. The archive
// is read again whenever the file is: some are too large to be kept in memory.
func member(c *cache.Cache, archive cache.Digest, name string) (sysext.File, error) {
	open := func() (io.ReadCloser, error) { return openMember(c, archive, name) }
	r, err := open()
	if err != nil {
		return sysext.File{}, err
	}
	defer r.Close()
	h := sha256.New()
	size, err := io.Copy(h, r)
	return sysext.File{Size: size, SHA256: hex.EncodeToString(h.Sum(nil)), Open: open}, err
}

// opened is a member and the blob below it.
type opened struct {
	io.Reader
	io.Closer
}

func openMember(c *cache.Cache, archive cache.Digest, name string) (io.ReadCloser, error) {
	blob, _, err := c.Open(archive)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(blob)
	if err != nil {
		blob.Close()
		return nil, err
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			err = errors.New("the archive does not have it")
		}
		if err != nil {
			blob.Close()
			return nil, err
		}
		if path.Base(h.Name) == name && h.FileInfo().Mode().Type() == fs.FileMode(0) {
			return opened{t, blob}, nil
		}
	}
}

// OpenPackages opens the Debian packages that are pinned for a use, verified.
// The caller ends their use with the function that is returned.
func (l *Lock) OpenPackages(c *cache.Cache, use string) ([]*deb.Package, func(), error) {
	var files []*os.File
	done := func() {
		for _, f := range files {
			f.Close()
		}
	}
	var out []*deb.Package
	for _, p := range l.packagesFor(use) {
		at, err := c.Path(p.Digest)
		if err != nil {
			done()
			return nil, nil, fmt.Errorf("debian package %s: %w", p.Name, err)
		}
		f, err := os.Open(at)
		if err != nil {
			done()
			return nil, nil, err
		}
		files = append(files, f)
		info, err := f.Stat()
		if err != nil {
			done()
			return nil, nil, err
		}
		opened, err := deb.Open(f, info.Size(), p.Digest.Hex())
		if err != nil {
			done()
			return nil, nil, fmt.Errorf("debian package %s: %w", p.Name, err)
		}
		out = append(out, opened)
	}
	return out, done, nil
}

func (l *Lock) packagesFor(use string) []Package {
	if l.Debian == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(l.Debian.Packages), func(p Package) bool { return !slices.Contains(p.Use, use) })
}

// BundleImages are the images of a bundle, read from a cache that holds all of
// them. Those that imgforge makes itself are left to the caller.
func (l *Lock) BundleImages(c *cache.Cache) []bundle.Image {
	var out []bundle.Image
	for _, i := range l.Images {
		if i.Made {
			continue
		}
		pinned := i.Manifest
		if i.Index != "" {
			pinned = i.Index
		}
		out = append(out, bundle.Image{Ref: i.Name, Digest: string(pinned), From: func(context.Context, string) (bundle.Found, error) {
			root, err := c.Read(pinned)
			if err != nil {
				return bundle.Found{}, err
			}
			img, err := registry.Cached(c, i.Manifest)
			return bundle.Found{Root: root, Image: img}, err
		}})
	}
	return out
}
