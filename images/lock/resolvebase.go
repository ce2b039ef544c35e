package lock

import (
	"cmp"
	"context"
	"fmt"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/catalog"
)

// base pins the operating system's image, and what it is made of. What is pinned stays while the channel
// is the same: a channel moves by itself, and a lock must not.
func (r *Resolver) base(ctx context.Context, l *Lock, b catalog.Base, version string, old *Lock, up Upgrade) error {
	if b.Channel == "" {
		return nil
	}
	if up[UpgradeBase] != "" && version != "" && up[UpgradeBase] != version {
		return fmt.Errorf("base: os.channel %s names a version itself: change it there", l.OS.Channel)
	}
	version = cmp.Or(version, up[UpgradeBase])
	if old != nil && old.Base != nil && old.OS == l.OS && !up.has(UpgradeBase) {
		l.Base = old.Base
		return nil
	}
	var err error
	switch b.Family {
	case "flatcar":
		l.Base, err = r.flatcar(ctx, b, l.OS.Channel, version)
	case "fcos":
		l.Base, err = r.fcos(ctx, b, version)
	case "debian":
		l.Base, err = r.debianImage(ctx, b, version)
	}
	if err == nil {
		err = r.lists(ctx, b, l.Base)
	}
	if err != nil {
		return fmt.Errorf("base %s %s: %w", b.Family, l.OS.Channel, err)
	}
	return nil
}

// flatcar believes the list of hashes that the image signing key signed.
func (r *Resolver) flatcar(ctx context.Context, b catalog.Base, channel, version string) (*Base, error) {
	if version == "" {
		text, err := r.Cache.Get(ctx, catalog.FlatcarVersionURL(channel, b.Arch), listLimit)
		if err != nil {
			return nil, err
		}
		if version, err = catalog.ParseFlatcarVersion(text); err != nil {
			return nil, err
		}
	}
	url := catalog.FlatcarDigestsURL(b.Channel, b.Arch, version)
	text, by, err := r.clearSigned(ctx, url, b.Keys)
	if err != nil {
		return nil, err
	}
	img, err := catalog.ParseFlatcarDigests(b.Channel, b.Arch, version, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	out, err := r.image(ctx, b, img)
	if err != nil {
		return nil, err
	}
	out.SignedBy = by
	return out, nil
}

// clearSigned fetches a clear-signed document and checks it.
func (r *Resolver) clearSigned(ctx context.Context, url, keys string) (text []byte, by string, err error) {
	ring, err := r.ring(keys)
	if err != nil {
		return nil, "", err
	}
	message, err := r.Cache.Get(ctx, url, listLimit)
	if err != nil {
		return nil, "", err
	}
	if text, by, err = ring.ClearSigned(message); err != nil {
		return nil, "", unbelieved(url, err)
	}
	return text, by, nil
}

// fcos takes what the stream names today, with the signature over the image,
// which is checked when the image is there.
func (r *Resolver) fcos(ctx context.Context, b catalog.Base, version string) (*Base, error) {
	url := catalog.StreamURL(b.Channel)
	data, err := r.Cache.Get(ctx, url, listLimit)
	if err != nil {
		return nil, err
	}
	img, err := catalog.ParseStream(data, b.Arch)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	if version != "" && version != img.Version {
		return nil, fmt.Errorf("%s names only the release of today, %s, not %s: leave the version out", url, img.Version, version)
	}
	if img.Signature == "" {
		return nil, fmt.Errorf("%s names no signature of %s", url, img.URL)
	}
	out, err := r.image(ctx, b, img)
	if err != nil {
		return nil, err
	}
	signature, err := r.Cache.Get(ctx, img.Signature, listLimit)
	if err != nil {
		return nil, err
	}
	d := cache.Of(signature)
	out.Signature = &Signature{Keys: b.Keys, File: File{URL: img.Signature, Size: int64(len(signature)), Digest: d}}
	return out, r.Cache.Put(d, signature)
}

// debianImage believes the site, since nobody signs its list of hashes.
func (r *Resolver) debianImage(ctx context.Context, b catalog.Base, version string) (*Base, error) {
	if version == "" {
		url := catalog.DebianBuildURL(b.Channel, b.Arch)
		data, err := r.Cache.Get(ctx, url, listLimit)
		if err != nil {
			return nil, err
		}
		if version, err = catalog.ParseDebianBuild(data); err != nil {
			return nil, fmt.Errorf("%s: %w", url, err)
		}
	}
	url := catalog.DebianSumsURL(b.Channel, version)
	data, err := r.Cache.Get(ctx, url, listLimit)
	if err != nil {
		return nil, err
	}
	img, err := catalog.ParseDebianSums(b.Channel, b.Arch, version, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return r.image(ctx, b, img)
}

func (r *Resolver) image(ctx context.Context, b catalog.Base, img catalog.Image) (*Base, error) {
	size, err := r.Cache.Size(ctx, img.URL)
	if absent(err) {
		return nil, fmt.Errorf("%w: there is no version %s", err, img.Version)
	}
	if err != nil {
		return nil, err
	}
	return &Base{Version: img.Version, Format: b.Format, File: File{URL: img.URL, Size: size, Digest: img.Digest}}, nil
}
