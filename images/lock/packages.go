package lock

import (
	"context"
	"fmt"
	"time"

	"github.com/imgforge/imgforge/images/cache"
)

// PackageFile is a pinned Debian package in the cache.
type PackageFile struct {
	Name   string
	Path   string
	SHA256 string // in lower-case hex
}

// FetchPackages brings the Debian packages that are pinned for a use into the cache,
// and nothing else that the lock names. There are none where the use is not locked.
func (l *Lock) FetchPackages(ctx context.Context, c *cache.Cache, use string) ([]PackageFile, error) {
	var files []cache.File
	for _, p := range l.packagesFor(use) {
		files = append(files, cache.File{Name: "debian package " + p.Name, URL: p.URL, Size: p.Size, Digest: p.Digest})
	}
	if err := c.Fetch(ctx, files); err != nil {
		return nil, err
	}
	var out []PackageFile
	for _, p := range l.packagesFor(use) {
		at, err := c.Path(p.Digest)
		if err != nil {
			return nil, fmt.Errorf("debian package %s: %w", p.Name, err)
		}
		out = append(out, PackageFile{Name: p.Name, Path: at, SHA256: p.Digest.Hex()})
	}
	return out, nil
}

// Moment is that of the snapshot of Debian's archive: what is made of its packages has
// this time.
func (d *Debian) Moment() (time.Time, error) {
	t, err := time.Parse("20060102T150405Z", d.Snapshot)
	if err != nil {
		return t, fmt.Errorf("debian.snapshot %q is no time such as 20261121T000000Z", d.Snapshot)
	}
	return t, nil
}
