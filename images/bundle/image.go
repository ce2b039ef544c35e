package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgforge/imgforge/internal/artifact"
)

// Image is one image of a bundle.
type Image struct {
	// Ref is name:tag as manifests have it.
	Ref string
	// Digest pins the image, or the index of its architectures: sha256:... in hex.
	Digest string
	From   Source
}

// Source finds an image for an architecture. It need not be trusted: what it returns
// is verified against the digest.
type Source func(ctx context.Context, arch string) (Found, error)

// Made is an image that was made here.
func Made(image v1.Image) Source {
	return func(context.Context, string) (Found, error) {
		root, err := image.RawManifest()
		return Found{root, image}, err
	}
}

// Found is an image, and the manifest or index whose digest is pinned.
type Found struct {
	Root  []byte
	Image v1.Image
}

// checked is an image whose manifest leads back to the pinned digest.
type checked struct {
	ref      string
	manifest []byte
	media    types.MediaType
	digest   v1.Hash
	parsed   *v1.Manifest
	image    v1.Image
}

// check fetches an image's manifest and verifies it, and the architecture.
func (i Image) check(ctx context.Context, arch string) (*checked, error) {
	want, err := v1.NewHash(i.Digest)
	if err != nil || want.Algorithm != "sha256" {
		return nil, fmt.Errorf("digest %q is not sha256: and 64 hex digits", i.Digest)
	}
	found, err := i.From(ctx, arch)
	if err != nil {
		return nil, err
	}
	if got, _, err := v1.SHA256(bytes.NewReader(found.Root)); err != nil || got != want {
		return nil, fmt.Errorf("its digest is %s, not %s", got, want)
	}
	c := &checked{ref: i.Ref, image: found.Image}
	if c.manifest, err = found.Image.RawManifest(); err != nil {
		return nil, err
	}
	if c.digest, _, err = v1.SHA256(bytes.NewReader(c.manifest)); err != nil {
		return nil, err
	}
	if c.digest != want {
		if err := c.listed(found.Root, arch); err != nil {
			return nil, err
		}
	}
	if c.parsed, err = v1.ParseManifest(bytes.NewReader(c.manifest)); err != nil {
		return nil, err
	}
	if c.media = c.parsed.MediaType; !c.media.IsImage() {
		c.media = types.OCIManifestSchema1 // which need not say so
	}
	return c, c.platform(arch)
}

// listed checks that an index names the manifest for the architecture.
func (c *checked) listed(root []byte, arch string) error {
	index, err := v1.ParseIndexManifest(bytes.NewReader(root))
	if err != nil {
		return err
	}
	for _, m := range index.Manifests {
		if m.Digest == c.digest && m.Platform != nil && m.Platform.OS == "linux" && m.Platform.Architecture == arch {
			return nil
		}
	}
	return fmt.Errorf("its index does not list %s for linux/%s", c.digest, arch)
}

// platform checks that the image itself says what it runs on.
func (c *checked) platform(arch string) error {
	data, err := c.image.RawConfigFile()
	if err != nil {
		return err
	}
	var config struct{ OS, Architecture string }
	if err := json.Unmarshal(data, &config); err != nil {
		return fmt.Errorf("its configuration: %w", err)
	}
	if config.OS != "linux" || config.Architecture != arch {
		return fmt.Errorf("it is made for %s/%s, not linux/%s", config.OS, config.Architecture, arch)
	}
	return nil
}

// descriptor is the image in the bundle's index, under the name that containerd and
// the kubelet look it up by.
func (c *checked) descriptor(arch string) v1.Descriptor {
	name := artifact.ImageName(c.ref)
	return v1.Descriptor{MediaType: c.media, Digest: c.digest, Size: int64(len(c.manifest)),
		Platform:    &v1.Platform{Architecture: arch, OS: "linux"},
		Annotations: map[string]string{artifact.ImageNameAnnotation: name, "org.opencontainers.image.ref.name": name}}
}
