package inventory

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/imgforge/imgforge/images/attest"
	"github.com/imgforge/imgforge/images/bundle"
	"github.com/imgforge/imgforge/internal/testtool"
)

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testtool.Path(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// file is one entry of a layer: a text, or a link with its target.
type file struct{ path, text, link string }

// packed is a layer of files in one of the forms that registries have.
func packed(t testing.TB, form string, files []file) v1.Layer {
	t.Helper()
	var plain, out bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, f := range files {
		h := &tar.Header{Name: f.path, Mode: 0o755, Size: int64(len(f.text)), Linkname: f.link}
		switch {
		case f.link != "":
			h.Typeflag = tar.TypeSymlink
		case strings.HasSuffix(f.path, "/"):
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	switch form {
	case "gzip":
		z := gzip.NewWriter(&out)
		z.Write(plain.Bytes())
		z.Close()
		return static.NewLayer(out.Bytes(), types.OCILayer)
	case "zstd":
		z, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		z.Write(plain.Bytes())
		z.Close()
		return static.NewLayer(out.Bytes(), types.OCILayerZStd)
	}
	return static.NewLayer(plain.Bytes(), types.OCIUncompressedLayer)
}

// bundled is a bundle of images, by name, of layers.
func bundled(t testing.TB, images map[string][]v1.Layer) []byte {
	t.Helper()
	var all []bundle.Image
	for ref, layers := range images {
		image, err := mutate.AppendLayers(empty.Image, layers...)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		config = config.DeepCopy()
		config.OS, config.Architecture = "linux", "amd64"
		if image, err = mutate.ConfigFile(image, config); err != nil {
			t.Fatal(err)
		}
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bundle.Image{Ref: ref, Digest: digest.String(), From: bundle.Made(image)})
	}
	var out bytes.Buffer
	if err := bundle.Write(t.Context(), &out, "amd64", all); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// inside lists one image.
func inside(t testing.TB, layers ...v1.Layer) (Image, []string) {
	t.Helper()
	data := bundled(t, map[string][]v1.Layer{"example.org/x:1": layers})
	scratch := t.TempDir()
	got, err := Bundle(bytes.NewReader(data), int64(len(data)), scratch)
	if err != nil || len(got) != 1 || got[0].Name != "example.org/x:1" {
		t.Fatalf("%v, %v", got, err)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	var urls []string
	for _, c := range got[0].Components {
		urls = append(urls, c.PURL)
	}
	return got[0], urls
}

// debian is a folder in which the real dpkg has installed two packages, and removed a
// third but for its configuration.
func debian(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "usr/bin", "var/log"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile(testtool.Path(t, "tar"))
	if err != nil {
		t.Fatal(err)
	}
	dpkg := []string{"--root=" + root, "--force-not-root", "--force-bad-path", "--no-triggers", "--log=/dev/null"}
	for _, name := range []string{"one", "two", "three"} {
		dir := t.TempDir()
		for path, text := range map[string]string{"DEBIAN/control": "Package: " + name + "\nVersion: 1:2.0~rc1+b2\nArchitecture: amd64\nMaintainer: a <a@example.org>\nDescription: test\n of a package\n",
			"DEBIAN/conffiles": "/etc/" + name + "\n", "etc/" + name: "x", "bin/" + name: string(self) + name} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		deb := filepath.Join(t.TempDir(), name+".deb")
		run(t, "dpkg-deb", "--build", "--root-owner-group", "-Znone", dir, deb)
		run(t, "dpkg", append(dpkg, "--install", deb)...)
	}
	run(t, "dpkg", append(dpkg, "--remove", "three")...)
	return root
}

// tree are the files of a folder as a layer has them; bin is a link, as in all of today.
func tree(t testing.TB, root string) []file {
	t.Helper()
	files := []file{{path: "bin", link: "usr/bin"}, {path: "etc/os-release", link: "../usr/lib/os-release"}, {path: "usr/lib/os-release", text: "ID=debian\nVERSION_ID=\"12\"\n"}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		if rest, ok := strings.CutPrefix(name, "bin/"); ok {
			name = "usr/bin/" + rest
		}
		files = append(files, file{path: "./" + name, text: string(data)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// What is listed of a Debian image is what dpkg-query lists, and what no package owns:
// packed, not packed, and with layers above that take things away.
func TestDebian(t *testing.T) {
	root := debian(t)
	var want []string
	for line := range strings.Lines(run(t, "dpkg-query", "--root="+root, "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n")) {
		if f := strings.Fields(line); f[0] == "installed" {
			want = append(want, f[1]+" "+f[2])
		}
	}
	if len(want) != 2 {
		t.Fatalf("dpkg installed %q", want)
	}
	self, err := os.ReadFile(testtool.Path(t, "tar"))
	if err != nil {
		t.Fatal(err)
	}
	files := append(tree(t, root), file{path: "usr/local/bin/own", text: string(self)}, file{path: "usr/local/share/x.o", text: "\x7fELF"}, file{path: "opt/gone/below", text: string(self) + "1"},
		file{path: "opt/covered", text: string(self) + "2"}, file{path: "srv/emptied", text: string(self) + "3"})
	above := []file{{path: "opt/.wh.gone"}, {path: "opt/covered", text: "a script"}, {path: "srv/.wh..wh..opq"}, {path: "srv/"}}
	for _, form := range []string{"gzip", "zstd", "tar"} {
		got, urls := inside(t, packed(t, form, files), packed(t, form, above))
		var packages, programs []string
		for _, c := range got.Components {
			if attest.IsDebian(c.PURL) {
				packages = append(packages, c.Name+" "+c.Version)
			} else {
				programs = append(programs, c.Name)
			}
		}
		if !slices.Equal(packages, want) || !slices.Equal(programs, []string{"usr/local/bin/own"}) {
			t.Errorf("%s: packages %q, want %q; programs %q", form, packages, want, programs)
		}
		if !slices.Contains(urls, "pkg:deb/debian/one@1:2.0~rc1%2Bb2?arch=amd64&distro=debian-12") {
			t.Errorf("%q", urls)
		}
	}
}

// Of a program in Go, every module is listed that `go version -m` lists.
func TestModules(t *testing.T) {
	path := testtool.Path(t, "butane")
	self, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, urls := inside(t, packed(t, "gzip", []file{{path: "usr/bin/test", text: string(self)}, {path: "usr/bin/again", text: string(self)}}))
	want := 0
	for line := range strings.Lines(run(t, "go", "version", "-m", path)) {
		f := strings.Fields(line)
		if len(f) > 2 && f[0] == "dep" {
			want++
			if url := "pkg:golang/" + f[1] + "@" + strings.ReplaceAll(f[2], "+", "%2B"); !slices.Contains(urls, url) {
				t.Errorf("it lacks %s: %q", url, urls)
			}
		}
	}
	if std := "pkg:golang/stdlib@" + strings.TrimPrefix(runtime.Version(), "go"); !slices.Contains(urls, std) || want < 5 {
		t.Errorf("%d modules; %q", want, urls)
	}
	// The program once, as its bytes are, its own module and the standard library.
	if n := len(urls); n != want+3 {
		t.Errorf("%d components of %d modules: %q", n, want, urls)
	}
}

// Images that are made without dpkg have a file per package; Alpine's have one; of
// those with RPM it is said that they are not read.
func TestOtherForms(t *testing.T) {
	self, err := os.ReadFile(testtool.Path(t, "tar"))
	if err != nil {
		t.Fatal(err)
	}
	_, urls := inside(t, packed(t, "gzip", []file{{path: "var/lib/dpkg/status.d/libc6", text: "Package: libc6\nVersion: 2.36-9\nArchitecture: amd64\n"},
		{path: "var/lib/dpkg/status.d/libc6.md5sums", text: "00000000000000000000000000000000  lib/libc.so.6\n"}, {path: "lib/libc.so.6", text: string(self)}}))
	if !slices.Equal(urls, []string{"pkg:deb/debian/libc6@2.36-9?arch=amd64"}) {
		t.Errorf("one file per package: %q", urls)
	}
	_, urls = inside(t, packed(t, "gzip", []file{{path: "etc/os-release", text: "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.22.1\n"},
		{path: "lib/apk/db/installed", text: "C:Q1=\nP:musl\nV:1.2.5-r10\nA:x86_64\nL:MIT\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\n\nP:busybox\nV:1.37.0-r18\nA:x86_64\nF:bin\nR:busybox\n"},
		{path: "lib/ld-musl-x86_64.so.1", text: string(self)}, {path: "bin/busybox", text: string(self)}, {path: "opt/own", text: string(self)}}))
	if len(urls) != 3 || urls[0] != "pkg:apk/alpine/musl@1.2.5-r10?arch=x86_64&distro=alpine-3.22.1" || urls[1] != "pkg:apk/alpine/busybox@1.37.0-r18?arch=x86_64&distro=alpine-3.22.1" ||
		!strings.HasPrefix(urls[2], "pkg:generic/opt/own?checksum=sha256:") {
		t.Errorf("Alpine: %q", urls)
	}
	if got, _ := inside(t, packed(t, "gzip", []file{{path: "var/lib/rpm/rpmdb.sqlite", text: "x"}})); !strings.Contains(got.Unread, "RPM") {
		t.Errorf("RPM: %q", got.Unread)
	}
	if got, _ := inside(t, packed(t, "gzip", []file{{path: "a", link: "b"}, {path: "b", link: "a"}, {path: "etc/os-release", link: "../a/x"}})); len(got.Components) > 0 || got.Unread != "" {
		t.Errorf("links that lead to themselves: %v", got)
	}
}

// The list does not depend on which core is quicker; a layer that is no archive is told
// with its image; one that is cut short too.
func TestBundleList(t *testing.T) {
	images := map[string][]v1.Layer{}
	for n := range 6 {
		images[fmt.Sprintf("example.org/%d:1", n)] = []v1.Layer{packed(t, "gzip", []file{{path: "var/lib/dpkg/status.d/all", text: "Package: all\nVersion: 1\n"}}),
			packed(t, "zstd", []file{{path: "var/lib/dpkg/status.d/own", text: fmt.Sprintf("Package: own\nVersion: %d\n", n)}})}
	}
	data := bundled(t, images)
	first, err := Bundle(bytes.NewReader(data), int64(len(data)), t.TempDir())
	if err != nil || len(first) != 6 || len(first[5].Components) != 2 {
		t.Fatalf("%v, %v", first, err)
	}
	again, err := Bundle(bytes.NewReader(data), int64(len(data)), t.TempDir())
	if err != nil || !reflect.DeepEqual(first, again) {
		t.Errorf("another list: %v", err)
	}
	for name, bad := range map[string]v1.Layer{"no archive": static.NewLayer(bytes.Repeat([]byte("x"), 2000), types.OCILayer), "cut short": static.NewLayer([]byte{0x1f, 0x8b, 8, 0}, types.OCILayer)} {
		data := bundled(t, map[string][]v1.Layer{"example.org/bad:1": {bad}})
		if _, err := Bundle(bytes.NewReader(data), int64(len(data)), t.TempDir()); err == nil || !strings.Contains(err.Error(), "example.org/bad:1: its layer sha256:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Bundle(bytes.NewReader(data), int64(len(data))/2, t.TempDir()); err == nil {
		t.Error("half a bundle was listed")
	}
}
