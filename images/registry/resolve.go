package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/imgforge/imgforge/images/cache"
)

// Image is an image by digest.
type Image struct {
	Name string
	// Index names the image for all architectures; empty when the registry has it for one alone.
	Index cache.Digest
	// Manifest names it for one architecture.
	Manifest cache.Digest
	// Size is what has to be fetched for it, in bytes.
	Size int64
}

// Resolve asks which digests a name stands for today, on Linux of an architecture,
// and keeps the manifests that say so. Names are completed as containerd does it.
func (c *Client) Resolve(ctx context.Context, image, arch string) (Image, error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return Image{}, fmt.Errorf("image %s: %w", image, err)
	}
	if c.cache.Offline {
		return Image{}, fmt.Errorf("image %s: not asked for, since --offline fetches nothing", image)
	}
	places, err := c.places(ref.Context())
	if err != nil {
		return Image{}, err
	}
	var errs []error
	for _, p := range places {
		out, err := c.resolveAt(ctx, p, ref, arch)
		if err == nil {
			out.Name = image
			return out, nil
		}
		if ctx.Err() != nil {
			return Image{}, context.Cause(ctx)
		}
		errs = append(errs, err)
	}
	return Image{}, fmt.Errorf("image %s: %w", image, errors.Join(errs...))
}

func (c *Client) resolveAt(ctx context.Context, p place, ref name.Reference, arch string) (Image, error) {
	t, err := c.transport(p)
	if err != nil {
		return Image{}, err
	}
	auth, err := c.authenticator(ctx, p)
	if err != nil {
		return Image{}, fmt.Errorf("credentials for %s: %w", p.repo.RegistryStr(), err)
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithTransport(t), remote.WithAuth(auth), remote.WithUserAgent("imgforge"),
		remote.WithRetryStatusCodes(http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout)}
	top, err := remote.Get(at(p.repo, ref), options...)
	if err != nil {
		return Image{}, refused(err)
	}
	out := Image{Manifest: cache.Digest(top.Digest.String())}
	if err := c.cache.Put(out.Manifest, top.Manifest); err != nil {
		return Image{}, err
	}
	if top.MediaType.IsIndex() {
		out.Index = out.Manifest
		if out.Manifest, err = forArch(top.Manifest, arch); err != nil {
			return Image{}, err
		}
		if top, err = remote.Get(p.repo.Digest(string(out.Manifest)), options...); err != nil {
			return Image{}, err
		}
		if err := c.cache.Put(out.Manifest, top.Manifest); err != nil {
			return Image{}, err
		}
	} else if err := onlyArch(top, arch); err != nil {
		return Image{}, err
	}
	parts, err := blobs(top.Manifest)
	for _, b := range parts {
		out.Size += b.Size
	}
	return out, err
}

// at is a reference in another repository.
func at(repo name.Repository, ref name.Reference) name.Reference {
	if d, ok := ref.(name.Digest); ok {
		return repo.Digest(d.DigestStr())
	}
	return repo.Tag(ref.Identifier())
}

// forArch finds the manifest of an architecture in an index.
func forArch(index []byte, arch string) (cache.Digest, error) {
	var list v1.IndexManifest
	if err := json.Unmarshal(index, &list); err != nil {
		return "", fmt.Errorf("index: %w", err)
	}
	i := slices.IndexFunc(list.Manifests, func(d v1.Descriptor) bool {
		p := d.Platform
		// arm64 has one variant, v8, which not everybody writes down.
		return p != nil && p.OS == "linux" && p.Architecture == arch && (p.Variant == "" || p.Variant == "v8")
	})
	if i < 0 {
		return "", fmt.Errorf("it is not published for linux/%s", arch)
	}
	return cache.ParseDigest(list.Manifests[i].Digest.String())
}

// onlyArch insists that an image without an index is of the architecture.
func onlyArch(d *remote.Descriptor, arch string) error {
	img, err := d.Image()
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	if config.OS != "linux" || config.Architecture != arch {
		return fmt.Errorf("it is published for %s/%s alone, not for linux/%s", config.OS, config.Architecture, arch)
	}
	return nil
}

// blobs are the configuration and the layers of a manifest.
func blobs(manifest []byte) ([]v1.Descriptor, error) {
	var m v1.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if m.Config.Digest.Hex == "" || len(m.Layers) == 0 {
		return nil, errors.New("manifest: it names no configuration or no layers")
	}
	return append([]v1.Descriptor{m.Config}, m.Layers...), nil
}
