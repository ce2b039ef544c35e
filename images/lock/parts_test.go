package lock

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/bundle"
	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/sysext"
	"github.com/imgforge/imgforge/internal/testtool"
)

// Everything that an extension takes from published programs comes out of the cache,
// with the hash of the very bytes.
func TestProgramFiles(t *testing.T) {
	_, r := site(t)
	w := wantedCluster()
	w.OS, w.Containerd = OS{"debian", "12"}, true
	l := resolve(t, r, w, nil, nil)
	if err := r.Fetch(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	programs := sysext.Programs(sysext.Shipped{})
	files, err := l.ProgramFiles(r.Cache, programs)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		data, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(data)
		data.Close()
		name, _, _ := strings.Cut(string(text), " ")
		if err != nil || name != filepath.Base(f.Path) || int64(len(text)) != f.Size || "sha256:"+f.SHA256 != string(cache.Of(text)) {
			t.Errorf("%s: %d of %d bytes of %q, %v", f.Path, len(text), f.Size, name, err)
		}
		got = append(got, f.Path)
	}
	// What is left are programs from Debian packages, and imgforge's own.
	for _, p := range programs {
		if left := p.Debian != "" || p.Name == "imgforge-node"; left == slices.Contains(got, p.Path) {
			t.Errorf("%s: taken is %v", p.Path, !left)
		}
	}
	if err := r.Cache.Remove([]cache.Blob{{Digest: l.Programs[0].Digest}}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ProgramFiles(r.Cache, programs); err == nil || !strings.Contains(err.Error(), "out of cni-plugins 1.9.1: ") || !strings.Contains(err.Error(), "run `imgforge fetch`") {
		t.Errorf("%v", err)
	}
}

// A bundle is made of the cache alone, by the digests of the lock.
func TestBundleImages(t *testing.T) {
	s, r := site(t)
	l := resolve(t, r, wantedCluster(), nil, nil)
	if err := r.Fetch(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	s.Asked()
	var out, again bytes.Buffer
	for _, w := range []io.Writer{&out, &again} {
		if err := bundle.Write(t.Context(), w, "amd64", l.BundleImages(r.Cache)); err != nil {
			t.Fatal(err)
		}
	}
	if asked := s.Asked(); len(asked) > 0 || !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Errorf("asked %q", asked)
	}
	index := ""
	for files := tar.NewReader(&out); ; {
		h, err := files.Next()
		if err != nil {
			break
		}
		if h.Name == "index.json" {
			data, _ := io.ReadAll(files)
			index = string(data)
		}
	}
	for _, i := range l.Images {
		if i.Made == strings.Contains(index, i.Name) {
			t.Errorf("%s: %s", i.Name, index)
		}
	}
	if err := bundle.Write(t.Context(), io.Discard, "arm64", l.BundleImages(r.Cache)); err == nil {
		t.Error("a lock for amd64 made a bundle for arm64")
	}
}

// A package that dpkg built is opened by the hash of the lock.
func TestOpenPackages(t *testing.T) {
	dpkg := testtool.Path(t, "dpkg-deb")
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "p", "DEBIAN"), 0o755); err != nil {
		t.Fatal(err)
	}
	control := "Package: tinc\nVersion: 1.0.36-2\nArchitecture: amd64\nMaintainer: a <a@example.org>\nDescription: d\n"
	if err := os.WriteFile(filepath.Join(dir, "p", "DEBIAN", "control"), []byte(control), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(dpkg, "--root-owner-group", "--build", filepath.Join(dir, "p"), filepath.Join(dir, "p.deb")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "p.deb"))
	if err != nil {
		t.Fatal(err)
	}
	c := cache.Open(filepath.Join(dir, "cache"))
	if err := c.Put(cache.Of(data), data); err != nil {
		t.Fatal(err)
	}
	l := &Lock{Debian: &Debian{Packages: []Package{
		{Name: "tinc", Use: []string{"sysext"}, File: File{Digest: cache.Of(data)}}, {Name: "keepalived", Use: []string{"keepalived"}, File: File{Digest: cache.Of(nil)}}}}}
	packages, done, err := l.OpenPackages(c, "sysext")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if len(packages) != 1 || packages[0].Name() != "tinc 1.0.36-2 amd64" {
		t.Errorf("%v", packages)
	}
	if _, _, err := l.OpenPackages(c, "keepalived"); err == nil || !strings.Contains(err.Error(), "debian package keepalived: ") {
		t.Errorf("%v", err)
	}
}
