package bundle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgforge/imgforge/internal/artifact"
)

// Write writes a bundle of images for one architecture. Layers that images share are
// in it once. Every byte is verified on its way: of what was written before an error,
// nothing may be kept; [WriteFile] sees to that. The same images give the same bytes,
// in whatever order they are given.
func Write(ctx context.Context, w io.Writer, arch string, images []Image) error {
	if len(images) == 0 {
		return errors.New("write image bundle: there are no images")
	}
	images = slices.SortedFunc(slices.Values(images), func(a, b Image) int { return cmp.Compare(a.Ref, b.Ref) })
	var all []*checked
	for n, i := range images {
		if n > 0 && artifact.ImageName(images[n-1].Ref) == artifact.ImageName(i.Ref) {
			return fmt.Errorf("write image bundle: %s is there twice", i.Ref)
		}
		c, err := i.check(ctx, arch)
		if err != nil {
			return fmt.Errorf("write image bundle: %s: %w", i.Ref, err)
		}
		all = append(all, c)
	}
	b := &bundle{w: tar.NewWriter(w), written: map[v1.Hash]bool{}}
	if err := b.write(ctx, arch, all); err != nil {
		return fmt.Errorf("write image bundle: %w", err)
	}
	return nil
}

// WriteFile is [Write] into a file that appears whole or not at all.
func WriteFile(ctx context.Context, path, arch string, images []Image) error {
	return artifact.WriteFile(path, 0o644, func(w io.Writer) error { return Write(ctx, w, arch, images) })
}

// bundle is an archive being written.
type bundle struct {
	w       *tar.Writer
	written map[v1.Hash]bool
}

// write puts what tells what is inside first: a node reads no more than that when it
// has the images already.
func (b *bundle) write(ctx context.Context, arch string, images []*checked) error {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, c := range images {
		index.Manifests = append(index.Manifests, c.descriptor(arch))
	}
	list, err := json.Marshal(index)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{artifact.BundleIndex, list}, {"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)}} {
		if err := b.file(f.name, int64(len(f.data)), bytes.NewReader(f.data)); err != nil {
			return err
		}
	}
	for _, c := range images {
		if err := b.image(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", c.ref, err)
		}
	}
	return b.w.Close()
}

func (b *bundle) image(ctx context.Context, c *checked) error {
	manifest := v1.Descriptor{Digest: c.digest, Size: int64(len(c.manifest))}
	if err := b.blob(manifest, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.manifest)), nil }); err != nil {
		return err
	}
	if err := b.blob(c.parsed.Config, func() (io.ReadCloser, error) {
		data, err := c.image.RawConfigFile()
		return io.NopCloser(bytes.NewReader(data)), err
	}); err != nil {
		return fmt.Errorf("its configuration: %w", err)
	}
	for _, layer := range c.parsed.Layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.blob(layer, func() (io.ReadCloser, error) {
			l, err := c.image.LayerByDigest(layer.Digest)
			if err != nil {
				return nil, err
			}
			return l.Compressed()
		}); err != nil {
			return fmt.Errorf("its layer %s: %w", layer.Digest, err)
		}
	}
	return nil
}

// blob writes something under its digest, once, and verifies it.
func (b *bundle) blob(d v1.Descriptor, open func() (io.ReadCloser, error)) error {
	if d.Digest.Algorithm != "sha256" {
		return fmt.Errorf("its digest is %s, and only sha256 is verified", d.Digest.Algorithm)
	}
	if b.written[d.Digest] {
		return nil
	}
	b.written[d.Digest] = true
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	v := newVerifier(r)
	if err := b.file("blobs/sha256/"+d.Digest.Hex, d.Size, v); err != nil {
		return err
	}
	return v.check(d)
}

func (b *bundle) file(name string, size int64, r io.Reader) error {
	h := &tar.Header{Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if size > 1<<33-1 { // more than the plain format has digits for
		h.Format = tar.FormatGNU
	}
	if err := b.w.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.CopyN(b.w, r, size)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("it has %d bytes, not %d", n, size)
	}
	return err
}
