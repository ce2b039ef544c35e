package proof

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/testtool"
)

// openedUp is a folder in which everything of another lies taken apart: disks into
// their partitions and files, configurations into what they write, the extension
// and the layers of images into their files.
func openedUp(t testing.TB, from string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found[path] = data
		switch {
		case strings.HasSuffix(path, ".raw.zst"):
			raw := filepath.Join(t.TempDir(), "disk.raw")
			external(t, "zstd", "-q", "-d", path, "-o", raw)
			openDisk(t, path, raw, found)
		case strings.HasSuffix(path, ".qcow2"):
			raw := filepath.Join(t.TempDir(), "disk.raw")
			external(t, "qemu-img", "convert", "-O", "raw", path, raw)
			openDisk(t, path, raw, found)
		case filepath.Base(filepath.Dir(path)) == "sysext":
			dir := filepath.Join(t.TempDir(), "root")
			external(t, "unsquashfs", "-no-xattrs", "-d", dir, path)
			for name, e := range entries(t, dir) {
				found[path+name] = []byte(e.contents)
			}
		case strings.HasSuffix(path, ".tar"):
			openTar(t, path, data, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// openDisk takes a raw disk of os.family imgforge apart.
func openDisk(t testing.TB, name, raw string, found map[string][]byte) {
	t.Helper()
	data, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	found[name+" raw"] = withoutHoles(data)
	for number, label := range map[string]string{"1": "USR", "2": "ROOT", "3": "config-2", "4": "imgforge"} {
		var at, size int64
		out := external(t, "sfdisk", "-d", raw)
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, raw+number+" ") {
				if _, err := fmt.Sscanf(strings.ReplaceAll(line[strings.Index(line, "start="):], " ", ""), "start=%d,size=%d", &at, &size); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if !strings.Contains(line, `name="`+label+`"`) {
					t.Errorf("%s: partition %s is not %s: %s", name, number, label, line)
				}
			}
		}
		if size == 0 {
			t.Fatalf("%s has no partition %s:\n%s", name, number, out)
		}
		part, dir := filepath.Join(t.TempDir(), "part"), t.TempDir()
		if err := os.WriteFile(part, data[at*512:(at+size)*512], 0o600); err != nil {
			t.Fatal(err)
		}
		switch label {
		case "USR":
			external(t, "unsquashfs", "-q", "-n", "-f", "-d", dir, part)
		case "ROOT":
			external(t, "debugfs", "-R", "rdump / "+dir, part)
		default:
			external(t, "xorriso", "-osirrox", "on", "-indev", part, "-extract", "/", dir)
		}
		external(t, "chmod", "-R", "u+rwX", dir)
		for file, e := range entries(t, dir) {
			found[name+" "+label+file] = []byte(e.contents)
			if strings.HasSuffix(file, "user_data") {
				files, err := payload.Files([]byte(e.contents))
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range files {
					found[name+" config "+f.Path] = f.Contents
				}
			}
		}
	}
}

// withoutHoles is a disk without its blocks of zeros, in which nothing can be.
func withoutHoles(data []byte) []byte {
	var out []byte
	zeros := make([]byte, 4096)
	for block := range slices.Chunk(data, len(zeros)) {
		if !bytes.Equal(block, zeros[:len(block)]) {
			out = append(out, block...)
		}
	}
	return out
}

func openTar(t testing.TB, name string, data []byte, found map[string][]byte) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		inner, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		found[name+" "+h.Name] = inner
		if z, err := gzip.NewReader(bytes.NewReader(inner)); err == nil {
			plain, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			found[name+" "+h.Name+" unpacked"] = plain
		}
	}
}

func external(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testtool.Path(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}
