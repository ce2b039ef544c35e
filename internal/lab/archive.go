package lab

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// searchPath is where programs of an image are looked for.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// writeArchive writes dir as an image of one layer, in the form that docker
// save has, named ref, that runs entrypoint. The same files give the same bytes.
func writeArchive(path, ref, entrypoint, dir string) (err error) {
	layer := path + ".layer"
	defer os.Remove(layer)
	digest, err := writeLayer(layer, dir)
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "created": epoch().Format(time.RFC3339),
		"config":  map[string]any{"Env": []string{searchPath}, "Entrypoint": []string{entrypoint}},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest}},
		"history": []map[string]any{{"created": epoch().Format(time.RFC3339)}},
	})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(config)
	name := hex.EncodeToString(sum[:])
	manifest, err := json.Marshal([]map[string]any{{"Config": name + ".json", "RepoTags": []string{ref}, "Layers": []string{digest + ".tar"}}})
	if err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
	}()
	w := tar.NewWriter(out)
	for _, f := range []struct {
		name string
		data []byte
	}{{"manifest.json", manifest}, {name + ".json", config}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.data)), Mode: 0o644, ModTime: epoch()}); err != nil {
			return err
		}
		if _, err := w.Write(f.data); err != nil {
			return err
		}
	}
	if err := addFile(w, layer, &tar.Header{Name: digest + ".tar", Mode: 0o644, ModTime: epoch()}); err != nil {
		return err
	}
	return w.Close()
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
