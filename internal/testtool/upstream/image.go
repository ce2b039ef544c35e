package upstream

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image publishes an image for both architectures, whatever its registry's name.
// Its layers follow from its name and the revision.
func (s *Site) Image(ref, revision string) error {
	all := map[string]v1.Image{}
	for _, arch := range [...]string{"amd64", "arm64"} {
		img, err := imageOf(ref, revision, arch)
		if err != nil {
			return err
		}
		all[arch] = img
	}
	return s.Images(ref, all)
}

// Images publishes what an image is on each architecture, whatever its registry's name.
func (s *Site) Images(ref string, all map[string]v1.Image) error {
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	index := v1.ImageIndex(empty.Index)
	for _, arch := range slices.Sorted(maps.Keys(all)) {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: all[arch], Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	at, err := name.NewTag(strings.TrimPrefix(s.Registry, "http://") + "/" + tag.RepositoryStr() + ":" + tag.TagStr())
	if err != nil {
		return err
	}
	return remote.WriteIndex(at, index, remote.WithAuth(s.Auth))
}

func imageOf(ref, revision, arch string) (v1.Image, error) {
	// As images that are made without dpkg itself have it.
	shared, err := layer(map[string]string{"etc/os-release": "ID=debian\nVERSION_ID=12\n",
		"var/lib/dpkg/status.d/base-files": "Package: base-files\nVersion: 12.4+deb12u11\nArchitecture: " + arch + "\n", "usr/share/all": string(body("a layer that all images share"))})
	if err != nil {
		return nil, err
	}
	own, err := layer(map[string]string{"usr/share/own": string(body(ref + " " + revision + " " + arch))})
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, shared, own)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config.OS, config.Architecture = "linux", arch
	return mutate.ConfigFile(img, config)
}

// layer is a layer with files, as registries have them.
func layer(files map[string]string) (v1.Layer, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.NoCompression) // the same bytes from every release of Go
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))}); err != nil {
			return nil, err
		}
		if _, err := t.Write([]byte(files[name])); err != nil {
			return nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return static.NewLayer(out.Bytes(), types.OCILayer), nil
}
