package lab

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// The same files give the same bytes, whenever and in whatever order they were
// written, and the manifest leads to a config and a layer that are there.
func TestArchiveIsReproducible(t *testing.T) {
	write := func(names ...string) []byte {
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
		path := filepath.Join(dir, "image.tar")
		if err := writeArchive(path, "example.org/a:1", "a", filepath.Join(dir, "root")); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	first := write("usr/bin/a", "etc/b")
	if !bytes.Equal(first, write("etc/b", "usr/bin/a")) {
		t.Error("two archives of the same files differ")
	}
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(first)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if m := manifest[0]; m.RepoTags[0] != "example.org/a:1" || files[m.Config] == nil || files[m.Layers[0]] == nil {
		t.Errorf("manifest %+v does not describe the archive's files", m)
	}
}
