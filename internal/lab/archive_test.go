package lab

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// The same files give the same image, whenever and in whatever order they were written,
// and it says what it runs and where.
func TestImageIsReproducible(t *testing.T) {
	write := func(names ...string) v1.Image {
		dir := t.TempDir()
		for _, name := range names {
			path := filepath.Join(dir, "root", name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("I am "+name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("a", filepath.Join(dir, "root/usr/bin/link")); err != nil {
			t.Fatal(err)
		}
		made, err := imageOf(filepath.Join(dir, "layer.tar"), "a", filepath.Join(dir, "root"))
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	one, other := write("usr/bin/a", "etc/b"), write("etc/b", "usr/bin/a")
	first, err := one.Digest()
	second, otherErr := other.Digest()
	if err != nil || otherErr != nil || first != second {
		t.Errorf("two images of the same files are %s and %s: %v, %v", first, second, err, otherErr)
	}
	config, err := one.ConfigFile()
	if err != nil || config.OS != "linux" || config.Architecture != "amd64" || !slices.Equal(config.Config.Entrypoint, []string{"a"}) {
		t.Errorf("its configuration is %+v, %v", config, err)
	}
	layers, err := one.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var names []string
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if want := []string{"etc/", "etc/b", "usr/", "usr/bin/", "usr/bin/a", "usr/bin/link"}; !slices.Equal(names, want) {
		t.Errorf("the layer holds %q, want %q", names, want)
	}
}
