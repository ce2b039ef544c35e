package lock

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/catalog"
)

// lists pins what a project says that its image is made of. One that it does not
// publish, or does not sign where it signs all, is left out, and with the image's own
// all of them: the list of components then says so.
func (r *Resolver) lists(ctx context.Context, b catalog.Base, base *Base) error {
	for _, list := range catalog.Lists(b.Family, base.URL) {
		pinned, err := r.list(ctx, b, list, base.Version)
		switch {
		case absent(err) && list.Name == catalog.ListOfImage:
			r.logf("no list of the packages of %s %s is pinned: %v", b.Family, base.Version, err)
			return nil
		case absent(err):
		case err != nil:
			return err
		default:
			base.Packages = append(base.Packages, *pinned)
		}
	}
	return nil
}

// list fetches one and believes its signature, where there is one, or the site.
func (r *Resolver) list(ctx context.Context, b catalog.Base, l catalog.List, version string) (*List, error) {
	data, err := r.Cache.Get(ctx, l.URL, listLimit)
	if err != nil {
		return nil, err
	}
	out := &List{Name: l.Name, File: File{URL: l.URL, Size: int64(len(data)), Digest: cache.Of(data)}}
	if l.Signature != "" {
		if out.SignedBy, err = r.detached(ctx, l, data, b.Keys); err != nil {
			return nil, err
		}
	}
	if _, err := catalog.ParseList(b.Family, version, data); err != nil {
		return nil, fmt.Errorf("%s: %w", l.URL, err)
	}
	return out, r.Cache.Put(out.Digest, data)
}

// detached checks the signature over a list.
func (r *Resolver) detached(ctx context.Context, l catalog.List, data []byte, keys string) (by string, err error) {
	ring, err := r.ring(keys)
	if err != nil {
		return "", err
	}
	signature, err := r.Cache.Get(ctx, l.Signature, listLimit)
	if err != nil {
		return "", err
	}
	if by, err = ring.Detached(bytes.NewReader(data), signature); err != nil {
		return "", unbelieved(l.URL, err)
	}
	return by, nil
}

// unbelieved is the error of a document whose signature does not hold.
func unbelieved(url string, err error) error {
	return fmt.Errorf("%s: %w: nothing of it is believed; name a newer key of the project with --keys", url, err)
}

// absent tells that every place says that it has no such file.
func absent(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range all.Unwrap() {
			if !absent(one) {
				return false
			}
		}
		return len(all.Unwrap()) > 0
	}
	_, is := errors.AsType[*cache.NotFound](err)
	return is
}
