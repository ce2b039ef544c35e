package lock

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/registry"
)

// files are what the cache must hold besides images.
func (l *Lock) files() []cache.File {
	entries := l.entries()
	var out []cache.File
	for _, path := range slices.Sorted(maps.Keys(entries)) {
		f := entries[path]
		out = append(out, cache.File{Name: path, URL: f.URL, Size: f.Size, Digest: f.Digest})
	}
	return out
}

// Files are all that the cache must hold. Of an image whose manifest is not there
// yet, only the manifest is known.
func (l *Lock) Files(reg *registry.Client) ([]cache.File, error) {
	out := l.files()
	for _, i := range l.Images {
		if i.Made {
			continue
		}
		files, err := reg.Files(registry.Image{Name: i.Name, Index: i.Index, Manifest: i.Manifest})
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", i.Name, err)
		}
		out = append(out, files...)
	}
	return out, nil
}

// Fetch brings everything into the cache and checks the signature over the base.
func (r *Resolver) Fetch(ctx context.Context, l *Lock) error {
	if err := r.fetchManifests(ctx, l); err != nil {
		return err
	}
	files, err := l.Files(r.Registry)
	if err != nil {
		return err
	}
	if err := r.Cache.Fetch(ctx, files); err != nil {
		return err
	}
	return r.CheckBase(l)
}

// fetchManifests makes known what images consist of. Offline that is left to the
// list of everything that is missing.
func (r *Resolver) fetchManifests(ctx context.Context, l *Lock) error {
	if r.Cache.Offline {
		return nil
	}
	files, err := l.Files(r.Registry)
	if err != nil {
		return err
	}
	manifests := slices.DeleteFunc(files, func(f cache.File) bool { return !l.isManifest(f.Digest) })
	quiet := *r.Cache
	quiet.Progress = nil
	return quiet.Fetch(ctx, manifests)
}

func (l *Lock) isManifest(d cache.Digest) bool {
	return slices.ContainsFunc(l.Images, func(i Image) bool { return i.Manifest == d || i.Index == d })
}

// CheckBase checks the signature over the base's image, where it has one. A base
// without one was believed by the list of hashes when it was locked.
func (r *Resolver) CheckBase(l *Lock) error {
	if l.Base == nil || l.Base.Signature == nil {
		return nil
	}
	ring, err := r.ring(l.Base.Signature.Keys)
	if err != nil {
		return err
	}
	signature, err := r.Cache.Read(l.Base.Signature.Digest)
	if err != nil {
		return err
	}
	image, _, err := r.Cache.Open(l.Base.Digest)
	if err != nil {
		return err
	}
	defer image.Close()
	by, err := ring.Detached(image, signature)
	if err != nil {
		return fmt.Errorf("base %s: %w: do not boot it; lock it anew, or name a newer key of the project with --keys", l.Base.URL, err)
	}
	r.logf("the base's signature is by %s", by)
	return nil
}

func (r *Resolver) logf(format string, a ...any) {
	if r.Logf != nil {
		r.Logf(format, a...)
	}
}
