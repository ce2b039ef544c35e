package lab

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// searchPath is where programs of an image are looked for.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// imageOf is dir as an image of one layer that runs entrypoint. The layer is written to
// path, and read from there. The same files give the same image.
func imageOf(path, entrypoint, dir string) (v1.Image, error) {
	digest, err := writeLayer(path, dir)
	if err != nil {
		return nil, err
	}
	hash, err := v1.NewHash("sha256:" + digest)
	if err != nil {
		return nil, err
	}
	start := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(start, mutate.Addendum{Layer: plainLayer{path, hash}, History: v1.History{Created: v1.Time{Time: epoch()}}})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", "amd64", v1.Time{Time: epoch()}
	config.Config = v1.Config{Env: []string{searchPath}, Entrypoint: []string{entrypoint}}
	return mutate.ConfigFile(image, config)
}

// plainLayer is an archive in a file, which is not compressed: it goes no further than
// the next folder.
type plainLayer struct {
	path string
	hash v1.Hash
}

func (l plainLayer) Digest() (v1.Hash, error)             { return l.hash, nil }
func (l plainLayer) DiffID() (v1.Hash, error)             { return l.hash, nil }
func (l plainLayer) Compressed() (io.ReadCloser, error)   { return os.Open(l.path) }
func (l plainLayer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.path) }
func (l plainLayer) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }
func (l plainLayer) Size() (int64, error) {
	info, err := os.Stat(l.path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func epoch() time.Time { return time.Unix(0, 0).UTC() }

// writeLayer writes dir as a layer and returns the SHA-256 of it.
func writeLayer(path, dir string) (digest string, err error) {
	out, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer out.Close()
	sum := sha256.New()
	w := tar.NewWriter(io.MultiWriter(out, sum))
	err = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == dir {
			return err
		}
		return addEntry(w, dir, file, d)
	})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", fmt.Errorf("write a layer of %s: %w", dir, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), out.Close()
}

// addEntry adds what lies at file, owned by root. Devices and sockets are left out.
func addEntry(w *tar.Writer, dir, file string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	name, err := filepath.Rel(dir, file)
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), ModTime: epoch()}
	switch {
	case info.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		return w.WriteHeader(h)
	case info.Mode()&fs.ModeSymlink != 0:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = os.Readlink(file); err != nil {
			return err
		}
		return w.WriteHeader(h)
	case info.Mode().IsRegular():
		return addFile(w, file, h)
	}
	return nil
}

func addFile(w *tar.Writer, path string, h *tar.Header) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}
