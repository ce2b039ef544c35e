package registry

import (
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgforge/imgforge/images/cache"
)

// Cached is an image whose parts are all in the cache. What is read of it is
// checked against its digests once more.
func Cached(c *cache.Cache, manifest cache.Digest) (v1.Image, error) {
	raw, err := c.Read(manifest)
	if err != nil {
		return nil, err
	}
	parts, err := blobs(raw)
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(&cached{cache: c, raw: raw, parts: parts})
}

type cached struct {
	cache *cache.Cache
	raw   []byte
	parts []v1.Descriptor // the configuration, then the layers
}

func (i *cached) RawManifest() ([]byte, error) { return i.raw, nil }

func (i *cached) RawConfigFile() ([]byte, error) {
	return i.cache.Read(cache.Digest(i.parts[0].Digest.String()))
}

func (i *cached) MediaType() (types.MediaType, error) {
	m, err := partial.Manifest(i)
	if err != nil {
		return "", err
	}
	if m.MediaType == "" { // which an OCI manifest need not say
		return types.OCIManifestSchema1, nil
	}
	return m.MediaType, nil
}

func (i *cached) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	at := slices.IndexFunc(i.parts, func(d v1.Descriptor) bool { return d.Digest == h })
	if at < 0 {
		return nil, fmt.Errorf("the image has no part %s", h)
	}
	return &cachedLayer{i.cache, i.parts[at]}, nil
}

type cachedLayer struct {
	cache *cache.Cache
	of    v1.Descriptor
}

func (l *cachedLayer) Digest() (v1.Hash, error)            { return l.of.Digest, nil }
func (l *cachedLayer) Size() (int64, error)                { return l.of.Size, nil }
func (l *cachedLayer) MediaType() (types.MediaType, error) { return l.of.MediaType, nil }

func (l *cachedLayer) Compressed() (io.ReadCloser, error) {
	r, _, err := l.cache.Open(cache.Digest(l.of.Digest.String()))
	return r, err
}
