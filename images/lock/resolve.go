package lock

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/registry"
)

// Resolver finds out what a lock has to say, from publishers and registries.
type Resolver struct {
	Cache    *cache.Cache
	Registry *registry.Client
	// Now is the time at which keys must be good, and from which a new snapshot of
	// Debian's archive is chosen.
	Now time.Time
	// Keys are public keys that the user trusts besides those of the catalogue, in
	// ASCII armour, for every publisher.
	Keys []byte
	Logf func(format string, a ...any)
}

// Upgrade says what is to move: names to versions, "" for what the catalogue or
// the publisher has today.
type Upgrade map[string]string

// Names of what can be upgraded besides the catalogue's programs.
const (
	UpgradeBase   = "base"
	UpgradeDebian = "debian"
	UpgradeImages = "images"
)

// UpgradeNames lists everything that an upgrade can name.
func UpgradeNames() []string {
	return []string{UpgradeBase, catalog.CNIPlugins, catalog.Containerd, catalog.Crictl, UpgradeDebian, UpgradeImages, catalog.Kubernetes, catalog.Runc}
}

func (u Upgrade) has(name string) bool {
	_, ok := u[name]
	return ok
}

// Resolve makes the lock of what is wanted. What old has pinned stays, unless it
// is upgraded or does not fit any more; old may be nil. It reports everything that
// could not be found out.
func (r *Resolver) Resolve(ctx context.Context, w Wanted, old *Lock, up Upgrade) (*Lock, error) {
	base, version, err := w.base()
	if err != nil {
		return nil, err
	}
	l := &Lock{Schema: Schema, Cluster: w.Cluster, Kubernetes: w.Kubernetes, Arch: w.Arch, OS: w.OS, Programs: []Program{}, Images: []Image{}}
	if old != nil && old.Arch != w.Arch {
		old = nil // nothing of another architecture can stay
	}
	steps := []func() error{
		func() error { return r.base(ctx, l, base, version, old, up) },
		func() error { return r.programs(ctx, l, w, old, up) },
		func() error { return r.debian(ctx, l, w.Packages, old, up) },
		func() error { return r.images(ctx, l, w, old, up) },
	}
	var errs []error
	for _, step := range steps {
		if err := step(); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			errs = append(errs, err)
		}
	}
	l.sort()
	return l, errors.Join(errs...)
}

func (r *Resolver) ring(name string) (*catalog.Ring, error) {
	keys, err := catalog.Keys(name)
	if err != nil {
		return nil, err
	}
	return catalog.NewRing(slices.Concat(keys, []byte("\n"), r.Keys), r.Now)
}

// programs pins what the nodes' system does not ship.
func (r *Resolver) programs(ctx context.Context, l *Lock, w Wanted, old *Lock, up Upgrade) error {
	versions := catalog.Versions(l.Kubernetes)
	var errs []error
	for _, name := range catalog.Needs(w.Containerd) {
		version := r.version(name, versions[name], l, old, up)
		programs, err := catalog.Programs(name, version, l.Arch)
		if err != nil {
			return err
		}
		for _, p := range programs {
			if was, ok := old.program(p.Name); ok && was.Version == p.Version && !up.has(name) {
				l.Programs = append(l.Programs, was)
				continue
			}
			f, err := r.program(ctx, p)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s %s: %w", p.Name, p.Version, err))
				continue
			}
			l.Programs = append(l.Programs, Program{Name: p.Name, Version: p.Version, File: f})
		}
	}
	return errors.Join(errs...)
}

// version decides which version of a program is pinned: what the user names, what
// is pinned already, or what the catalogue has.
func (r *Resolver) version(name, newest string, l, old *Lock, up Upgrade) string {
	if name == catalog.Kubernetes {
		return l.Kubernetes
	}
	if v, ok := up[name]; ok {
		if v != "" {
			return strings.TrimPrefix(v, "v")
		}
		return newest
	}
	was, ok := old.program(name)
	if !ok || name == catalog.Crictl && !sameMinor(was.Version, l.Kubernetes) {
		return newest
	}
	return was.Version
}

// listLimit bounds lists of hashes and signatures, in bytes.
const listLimit = 4 << 20

// program takes the hash from the list that is published beside the file.
func (r *Resolver) program(ctx context.Context, p catalog.Program) (File, error) {
	list, err := r.Cache.Get(ctx, p.Sums, listLimit)
	if err != nil {
		return File{}, err
	}
	sum, err := catalog.Sum(list, p.File)
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", p.Sums, err)
	}
	d, err := cache.ParseDigest(cache.SHA256 + ":" + sum)
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", p.Sums, err)
	}
	size, err := r.Cache.Size(ctx, p.URL)
	if err != nil {
		return File{}, err
	}
	return File{URL: p.URL, Size: size, Digest: d}, nil
}

// images pins every image by digest, several at once.
func (r *Resolver) images(ctx context.Context, l *Lock, w Wanted, old *Lock, up Upgrade) error {
	names := slices.Sorted(maps.Keys(setOf(w.Images)))
	found, errs := make([]Image, len(names)), make([]error, len(names))
	var group sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i, name := range names {
		if slices.Contains(w.Made, name) {
			found[i] = Image{Name: name, Made: true}
			continue
		}
		if was, ok := old.image(name); ok && !was.Made && !up.has(UpgradeImages) {
			found[i] = was
			continue
		}
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			img, err := r.Registry.Resolve(ctx, name, l.Arch)
			found[i], errs[i] = Image{Name: name, Index: img.Index, Manifest: img.Manifest, Size: img.Size}, err
		})
	}
	group.Wait()
	l.Images = found
	return errors.Join(errs...)
}

func setOf(names []string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}
