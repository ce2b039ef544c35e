package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// made is an image of layers with these texts in them.
func made(t testing.TB, arch string, texts ...string) v1.Image {
	t.Helper()
	image := empty.Image
	for _, text := range texts {
		r := root{}
		r.file("a/"+fmt.Sprint(len(text)), 0o644, []byte(text))
		plain, err := r.layer(time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		l, err := newLayer(plain)
		if err != nil {
			t.Fatal(err)
		}
		if image, err = mutate.AppendLayers(image, l); err != nil {
			t.Fatal(err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

func digestOf(t testing.TB, x interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	d, err := x.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// images are one that stands alone, and one of an index, twice. Two share a layer.
func images(t testing.TB) []Image {
	t.Helper()
	one := made(t, "amd64", "shared by all", "one")
	two := made(t, "amd64", "shared by all", "two")
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: made(t, "arm64", "another machine's"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: two, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	return []Image{
		{Ref: "imgforge/one:1", Digest: digestOf(t, one), From: Made(one)},
		{Ref: "example.org/b/two:2", Digest: digestOf(t, index), From: listed(index, two)},
		{Ref: "three", Digest: digestOf(t, index), From: listed(index, two)},
	}
}

// listed is an image of an index.
func listed(index v1.ImageIndex, image v1.Image) Source {
	return func(context.Context, string) (Found, error) {
		root, err := index.RawManifest()
		return Found{root, image}, err
	}
}

// unpacked reads a bundle and checks that each blob is what its name says.
func unpacked(t testing.TB, data []byte) (names []string, blobs map[string][]byte) {
	t.Helper()
	blobs = map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, blobs
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if hex, ok := strings.CutPrefix(h.Name, "blobs/sha256/"); ok && fmt.Sprintf("%x", sha256.Sum256(data)) != hex {
			t.Errorf("%s holds something else", h.Name)
		}
		if blobs[h.Name] != nil {
			t.Errorf("%s is there twice", h.Name)
		}
		names, blobs[h.Name] = append(names, h.Name), data
	}
}

func TestBundleHoldsEveryImageOnce(t *testing.T) {
	var b bytes.Buffer
	if err := Write(t.Context(), &b, "amd64", images(t)); err != nil {
		t.Fatal(err)
	}
	names, blobs := unpacked(t, b.Bytes())
	var index v1.IndexManifest
	if err := json.Unmarshal(blobs["index.json"], &index); err != nil || names[0] != "index.json" {
		t.Fatalf("the first file is %s (%v)", names[0], err)
	}
	var got []string
	for _, d := range index.Manifests {
		got = append(got, d.Annotations["io.containerd.image.name"])
		var m v1.Manifest
		if err := json.Unmarshal(blobs["blobs/sha256/"+d.Digest.Hex], &m); err != nil {
			t.Fatal(err)
		}
		for _, part := range append(m.Layers, m.Config) {
			if int64(len(blobs["blobs/sha256/"+part.Digest.Hex])) != part.Size {
				t.Errorf("%s of %s is not in the bundle", part.Digest, got)
			}
		}
	}
	if want := "[example.org/b/two:2 docker.io/imgforge/one:1 docker.io/library/three:latest]"; fmt.Sprint(got) != want {
		t.Errorf("the images are called %v, want %s", got, want)
	}
	// Two images with a configuration each, two layers of their own and one of both.
	if len(blobs) != 2+2*2+3 {
		t.Errorf("the bundle holds %d files: %q", len(blobs), names)
	}
}

func TestSameImagesSameBytes(t *testing.T) {
	all := images(t)
	write := func() []byte {
		path := filepath.Join(t.TempDir(), "images.tar")
		if err := WriteFile(t.Context(), path, "amd64", all); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	want := write()
	t.Setenv("TZ", "Pacific/Kiritimati")
	t.Setenv("SOURCE_DATE_EPOCH", "12345")
	t.Chdir(t.TempDir())
	defer syscall.Umask(syscall.Umask(0o077))
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if !bytes.Equal(write(), want) {
		t.Error("the second bundle is another")
	}
}

// spoiled changes what an image's parts read as.
type spoiled struct {
	v1.Image
	layer func(v1.Layer) v1.Layer
}

func (s spoiled) LayerByDigest(d v1.Hash) (v1.Layer, error) {
	l, err := s.Image.LayerByDigest(d)
	return s.layer(l), err
}

type otherLayer struct {
	v1.Layer
	text func([]byte) []byte
}

func (o otherLayer) Compressed() (io.ReadCloser, error) {
	r, err := o.Layer.Compressed()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return io.NopCloser(bytes.NewReader(o.text(data))), err
}

// Whatever is not what its digest says is refused, and no file is left.
func TestNothingWrongIsKept(t *testing.T) {
	right := made(t, "amd64", "right")
	spoil := func(change func([]byte) []byte) Image {
		return Image{"a:1", digestOf(t, right), Made(spoiled{right, func(l v1.Layer) v1.Layer { return otherLayer{l, change} }})}
	}
	elsewhere := images(t)[1]
	for want, wrong := range map[string]Image{
		"a:1: its digest is sha256:":                  {"a:1", "sha256:" + strings.Repeat("0", 64), Made(right)},
		`a:1: digest "latest" is not`:                 {"a:1", "latest", Made(right)},
		"it is made for linux/arm64, not linux/amd64": {"a:1", digestOf(t, made(t, "arm64", "x")), Made(made(t, "arm64", "x"))},
		": its digest is sha256:":                     spoil(func(b []byte) []byte { b[20] ^= 1; return b }),
		"it has more than the":                        spoil(func(b []byte) []byte { return append(b, 1) }),
		fmt.Sprintf("%d bytes, not", 3):               spoil(func(b []byte) []byte { return b[:3] }),
		"its index does not list":                     {"a:1", elsewhere.Digest, swapped(elsewhere.From, right)},
	} {
		dir := t.TempDir()
		err := WriteFile(t.Context(), filepath.Join(dir, "images.tar"), "amd64", []Image{wrong})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("after %v there is %v", err, left)
		}
	}
	twice := []Image{{"a", digestOf(t, right), Made(right)}, {"docker.io/library/a:latest", digestOf(t, right), Made(right)}}
	if err := Write(t.Context(), io.Discard, "amd64", twice); err == nil || !strings.Contains(err.Error(), "is there twice") {
		t.Errorf("one name twice: %v", err)
	}
	if err := Write(t.Context(), io.Discard, "amd64", nil); err == nil {
		t.Error("a bundle of nothing is written")
	}
}

func swapped(from Source, other v1.Image) Source {
	return func(ctx context.Context, arch string) (Found, error) {
		found, err := from(ctx, arch)
		found.Image = other
		return found, err
	}
}
