package bundle

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Made is an image that was made here.
func Made(image v1.Image) Source {
	return func(context.Context, string) (Found, error) {
		root, err := image.RawManifest()
		return Found{root, image}, err
	}
}

// Registry fetches an image by the digest from the registry that ref names. Options
// say how, such as credentials, a transport with its certificates, or a mirror's.
func Registry(ref, digest string, options ...remote.Option) Source {
	return func(ctx context.Context, arch string) (Found, error) {
		named, err := name.ParseReference(ref)
		if err != nil {
			return Found{}, err
		}
		at := named.Context().Digest(digest)
		got, err := remote.Get(at, append(options, remote.WithContext(ctx))...)
		if err != nil {
			return Found{}, err
		}
		if got.MediaType.IsIndex() {
			index, err := got.ImageIndex()
			if err != nil {
				return Found{}, err
			}
			image, err := member(index, arch)
			return Found{got.Manifest, image}, err
		}
		image, err := got.Image()
		return Found{got.Manifest, image}, err
	}
}

// Layout finds an image by the digest in a folder that is an OCI image layout.
func Layout(folder, digest string) Source {
	return func(_ context.Context, arch string) (Found, error) {
		want, err := v1.NewHash(digest)
		if err != nil {
			return Found{}, err
		}
		top, err := layout.ImageIndexFromPath(folder)
		if err != nil {
			return Found{}, fmt.Errorf("read OCI layout %s: %w", folder, err)
		}
		list, err := top.IndexManifest()
		if err != nil {
			return Found{}, err
		}
		at := slices.IndexFunc(list.Manifests, func(d v1.Descriptor) bool { return d.Digest == want })
		if at < 0 {
			return Found{}, fmt.Errorf("OCI layout %s has no %s", folder, digest)
		}
		if list.Manifests[at].MediaType.IsIndex() {
			index, err := top.ImageIndex(want)
			if err != nil {
				return Found{}, err
			}
			root, err := index.RawManifest()
			if err != nil {
				return Found{}, err
			}
			image, err := member(index, arch)
			return Found{root, image}, err
		}
		image, err := top.Image(want)
		if err != nil {
			return Found{}, err
		}
		root, err := image.RawManifest()
		return Found{root, image}, err
	}
}

// member is the image of an index for an architecture.
func member(index v1.ImageIndex, arch string) (v1.Image, error) {
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, m := range list.Manifests {
		if m.MediaType.IsImage() && m.Platform != nil && m.Platform.OS == "linux" && m.Platform.Architecture == arch {
			return index.Image(m.Digest)
		}
	}
	return nil, fmt.Errorf("it has no image for linux/%s", arch)
}
