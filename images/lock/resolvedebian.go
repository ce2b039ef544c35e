package lock

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ulikunitz/xz"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/catalog"
)

// debian pins packages by URLs of a snapshot, believed through the signature of
// its InRelease. While the same packages are wanted, what is pinned stays; when
// others are, they are taken from the snapshot that is pinned.
func (r *Resolver) debian(ctx context.Context, l *Lock, wanted map[string][]string, old *Lock, up Upgrade) error {
	if len(wanted) == 0 {
		return nil
	}
	snapshot := r.snapshot(up)
	if old != nil && old.Debian != nil && !up.has(UpgradeDebian) {
		if maps.EqualFunc(old.Debian.Wanted, wanted, slices.Equal) {
			l.Debian = old.Debian
			return nil
		}
		snapshot = old.Debian.Snapshot
	}
	archive, err := r.archive(ctx, snapshot, l.Arch)
	if err != nil {
		return fmt.Errorf("debian %s at %s: %w", catalog.PackageRelease, snapshot, err)
	}
	l.Debian = &Debian{Release: catalog.PackageRelease, Snapshot: snapshot, Wanted: wanted}
	for _, use := range slices.Sorted(maps.Keys(wanted)) {
		names, leave := wanted[use], catalog.Maintenance()
		if use == catalog.UseBase { // a whole system is installed, and configured
			names, leave = slices.Concat(names, archive.Required()), nil
		}
		packages, err := archive.Closure(names, leave)
		if err != nil {
			return fmt.Errorf("debian packages for %s: %w", use, err)
		}
		for _, p := range packages {
			l.Debian.add(p, use)
		}
	}
	return nil
}

// snapshot is what the user names, or the start of yesterday: a moment whose
// state cannot change any more.
func (r *Resolver) snapshot(up Upgrade) string {
	if v := up[UpgradeDebian]; v != "" {
		return v
	}
	return catalog.SnapshotAt(r.Now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -1))
}

func (d *Debian) add(p catalog.Package, use string) {
	i := slices.IndexFunc(d.Packages, func(had Package) bool { return had.Name == p.Name })
	if i < 0 {
		d.Packages = append(d.Packages, Package{Name: p.Name, Version: p.Version, File: File{URL: p.URL, Size: p.Size, Digest: p.Digest}})
		i = len(d.Packages) - 1
	}
	d.Packages[i].Use = append(d.Packages[i].Use, use)
	slices.Sort(d.Packages[i].Use)
}

// archive reads the indices of a snapshot, each believed by the one before.
func (r *Resolver) archive(ctx context.Context, snapshot, arch string) (*catalog.Archive, error) {
	var all [][]catalog.Package
	for _, suite := range catalog.Suites(catalog.PackageRelease, snapshot) {
		text, _, err := r.clearSigned(ctx, suite.ReleaseURL(), "debian-"+catalog.PackageRelease)
		if err != nil {
			return nil, err
		}
		size, d, err := suite.ParseRelease(text, arch)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", suite.ReleaseURL(), err)
		}
		index := cache.File{Name: "index of Debian packages", URL: suite.PackagesURL(arch), Size: size, Digest: d}
		if err := r.Cache.Fetch(ctx, []cache.File{index}); err != nil {
			return nil, err
		}
		packages, err := r.index(suite, d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", index.URL, err)
		}
		all = append(all, packages)
	}
	return catalog.NewArchive(all...), nil
}

func (r *Resolver) index(suite catalog.Suite, d cache.Digest) ([]catalog.Package, error) {
	blob, _, err := r.Cache.Open(d)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	plain, err := xz.NewReader(blob)
	if err != nil {
		return nil, err
	}
	return suite.ParsePackages(plain)
}
