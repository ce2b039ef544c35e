package inventory

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgforge/imgforge/images/attest"
	"github.com/imgforge/imgforge/internal/artifact"
)

// Image is one image of a bundle and what is in it.
type Image struct {
	Name   string // name:tag, as containerd looks it up
	Digest string // of its manifest
	// Components are in none of the files of a folder by themselves: In is empty.
	Components []attest.Component
	// Unread says what could not be listed; "" when that is nothing.
	Unread string
}

// archive is a bundle, opened: where each of its files lies.
type archive struct {
	r     io.ReaderAt
	files map[string]place
}

type place struct{ at, size int64 }

// Bundle lists what is in the images of a bundle of size bytes, an OCI image layout in
// an archive that is not compressed, in the order of its index. Layers that images
// share are read once. What was verified when the bundle was made is not verified
// again. scratch is a folder for files that have no name.
func Bundle(r io.ReaderAt, size int64, scratch string) ([]Image, error) {
	images, err := list(r, size, scratch)
	if err != nil {
		return nil, fmt.Errorf("list what is in the bundle of images: %w", err)
	}
	return images, nil
}

func list(r io.ReaderAt, size int64, scratch string) ([]Image, error) {
	a, err := openArchive(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, err
	}
	var index v1.IndexManifest
	if err := a.decode(artifact.BundleIndex, &index); err != nil {
		return nil, err
	}
	var out []Image
	var layers [][]string // digests, by image
	whose := map[string]string{}
	for _, d := range index.Manifests {
		var m v1.Manifest
		if err := a.decode(blob(d.Digest.String()), &m); err != nil {
			return nil, err
		}
		i := Image{Name: d.Annotations[artifact.ImageNameAnnotation], Digest: d.Digest.String()}
		var digests []string
		for _, l := range m.Layers {
			digests = append(digests, l.Digest.String())
			whose[l.Digest.String()] = i.Name
		}
		out, layers = append(out, i), append(layers, digests)
	}
	read, err := a.layers(whose, scratch)
	if err != nil {
		return nil, err
	}
	for n := range out {
		v := newView()
		for _, digest := range layers[n] {
			v.put(read[digest])
		}
		out[n].Components = v.components()
		if v.rpm {
			out[n].Unread = "its packages are in a database of RPM, which is not read: its programs and their modules alone are listed"
		}
	}
	return out, nil
}

func blob(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

// openArchive notes where the files of an archive lie.
func openArchive(r *io.SectionReader) (*archive, error) {
	a := &archive{r: r, files: map[string]place{}}
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return nil, err
		}
		at, err := r.Seek(0, io.SeekCurrent) // a header ends where its data begin
		if err != nil {
			return nil, err
		}
		a.files[h.Name] = place{at, h.Size}
	}
}

func (a *archive) open(name string) (*io.SectionReader, error) {
	p, ok := a.files[name]
	if !ok {
		return nil, fmt.Errorf("it does not have %s", name)
	}
	return io.NewSectionReader(a.r, p.at, p.size), nil
}

func (a *archive) decode(name string, to any) error {
	r, err := a.open(name)
	if err != nil {
		return err
	}
	if r.Size() > maxText {
		return fmt.Errorf("%s has %d bytes", name, r.Size())
	}
	if err := json.NewDecoder(r).Decode(to); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// layers reads layers, one per core at a time. whose names an image that each is of.
func (a *archive) layers(whose map[string]string, scratch string) (map[string]*layer, error) {
	var mu sync.Mutex
	read := map[string]*layer{}
	failed := map[string]error{} // by digest, so that the one told of does not depend on luck
	work := make(chan string)
	var group sync.WaitGroup
	for range max(min(runtime.GOMAXPROCS(0), len(whose)), 1) {
		group.Go(func() {
			for digest := range work {
				l, err := a.layer(digest, scratch)
				mu.Lock()
				if err != nil {
					failed[digest] = fmt.Errorf("%s: its layer %s: %w", whose[digest], digest, err)
				}
				read[digest] = l
				mu.Unlock()
			}
		})
	}
	for _, digest := range slices.Sorted(maps.Keys(whose)) {
		work <- digest
	}
	close(work)
	group.Wait()
	for _, digest := range slices.Sorted(maps.Keys(failed)) {
		return nil, failed[digest]
	}
	return read, nil
}

func (a *archive) layer(digest, scratch string) (*layer, error) {
	r, err := a.open(blob(digest))
	if err != nil {
		return nil, err
	}
	s, err := newSpool(scratch)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return readLayer(r, s)
}
