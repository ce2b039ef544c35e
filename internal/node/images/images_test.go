package images

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgforge/imgforge/images/bundle"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/testtool"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// place writes a bundle of images with these names, each of its own contents, into a
// node's folder.
func place(t *testing.T, root, file, version string, refs ...string) {
	t.Helper()
	var all []bundle.Image
	for _, ref := range refs {
		// Two empty blocks are an empty archive; a longer one is another.
		l := static.NewLayer(make([]byte, 512*(2+len(ref)+len(version))), types.OCIUncompressedLayer)
		image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), l)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		config = config.DeepCopy()
		config.OS, config.Architecture, config.Author = "linux", "amd64", ref+version
		if image, err = mutate.ConfigFile(image, config); err != nil {
			t.Fatal(err)
		}
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bundle.Image{Ref: ref, Digest: digest.String(), From: bundle.Made(image)})
	}
	folder := filepath.Join(root, artifact.BundleFolder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := bundle.WriteFile(t.Context(), filepath.Join(folder, file), "amd64", all); err != nil {
		t.Fatal(err)
	}
}

// containerd runs a real one until the test ends, with what the kubelet talks to, and
// notes what ctr is called for.
func containerd(t *testing.T, root string) Options {
	t.Helper()
	testtool.Root(t)
	dir, err := os.MkdirTemp("", "imgforge-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "sock")
	config := fmt.Sprintf("version = 3\nroot = %q\nstate = %q\n[grpc]\naddress = %q\n[ttrpc]\naddress = %q\n[plugins.'io.containerd.nri.v1.nri']\ndisable = true\n",
		dir+"/root", dir+"/state", socket, socket+".ttrpc")
	if err := os.WriteFile(dir+"/config.toml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", testtool.Path(t, "containerd"), "--config", dir+"/config.toml")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	tool := testtool.Path(t, "ctr")
	for end := time.Now().Add(30 * time.Second); exec.Command(tool, "--address", socket, "version").Run() != nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("containerd does not answer")
		}
	}
	script := fmt.Sprintf("#!/bin/sh\necho \"$*\" >>%s/calls\nexec %s \"$@\"\n", root, tool)
	if err := os.WriteFile(filepath.Join(root, "ctr"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return Options{Root: root, Containerd: socket, Programs: root, Report: &step.Log{Root: root, Stderr: io.Discard, Now: time.Now}}
}

func calls(t *testing.T, root, word string) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "calls"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(data), word)
}

// A real containerd gets every image under the name that the kubelet asks for, pinned,
// and once: a boot that changes nothing only looks. A bundle of other contents under
// the same names takes their place, and a lost pin or image comes back.
func TestContainerdGetsImagesOnce(t *testing.T) {
	root := t.TempDir()
	o := containerd(t, root)
	c, err := newClient(o)
	if err != nil {
		t.Fatal(err)
	}
	boot := func(imports int) []image {
		t.Helper()
		before := calls(t, root, "images import")
		if err := Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if n := calls(t, root, "images import") - before; n != imports {
			t.Errorf("there were %d imports, want %d", n, imports)
		}
		have, err := c.list(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(have, func(i image) bool { return strings.HasPrefix(i.name, "sha256:") })
	}
	names := []string{"docker.io/imgforge/keepalived:2.2.7", "docker.io/library/haproxy:3.2.22", "registry.k8s.io/pause:3.10.2"}
	all := func(have []image) {
		t.Helper()
		var got []string
		for _, i := range have {
			if !i.pinned {
				t.Errorf("%s is not pinned", i.name)
			}
			got = append(got, i.name)
		}
		slices.Sort(got)
		if !slices.Equal(got, names) {
			t.Errorf("the store has %q, want %q", got, names)
		}
	}
	if len(boot(0)) != 0 {
		t.Error("there are images before there is a bundle")
	}
	place(t, root, "a.tar", "1", "registry.k8s.io/pause:3.10.2", "imgforge/keepalived:2.2.7")
	place(t, root, "b.tar", "1", "docker.io/library/haproxy:3.2.22")
	first := boot(2)
	all(first)
	// What the kubelet talks to has taken note: it adds names of its own, and pins stay.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		have, err := c.list(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(have) == 2*len(names) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the kubelet's side of containerd has not seen the images: %v", have)
		}
	}
	all(boot(0))

	place(t, root, "a.tar", "2", "registry.k8s.io/pause:3.10.2", "imgforge/keepalived:2.2.7")
	second := boot(1)
	all(second)
	if slices.ContainsFunc(second, func(i image) bool { return i.name == names[2] && slices.Contains(first, i) }) {
		t.Error("the other bundle's image did not take the place of the first")
	}
	for _, args := range [][]string{{"images", "label", names[0], pinLabel + "="}, {"images", "remove", "--sync", names[1]}} {
		if _, err := c.run(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
		all(boot(1))
	}
}

// A bundle that is damaged, or none, is a code that says so, and the store stays as it was.
func TestDamagedBundle(t *testing.T) {
	root := t.TempDir()
	o := containerd(t, root)
	place(t, root, "a.tar", "1", "registry.k8s.io/pause:3.10.2")
	path := filepath.Join(root, artifact.BundleFolder, "a.tar")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{bytes.Replace(whole, []byte(`"author"`), []byte(`"Author"`), 1), nil, []byte("no archive"), whole[:len(whole)/2]} {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		err := Run(t.Context(), o)
		if !errors.Is(err, bootcode.Fail(bootcode.ImportFailed, "")) {
			t.Errorf("with %d bytes: %v", len(data), err)
		}
	}
	if err := os.WriteFile(path, []byte("no archive"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := Run(t.Context(), o).Error() + "\n"
	code, _ := bootcode.Of(bootcode.ImportFailed)
	testtool.BootCode(t, code, got, *update)
	o.Containerd = filepath.Join(root, "none.sock")
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), o); !errors.Is(err, bootcode.Fail(bootcode.ContainerdDown, "")) {
		t.Errorf("without containerd: %v", err)
	}
}

// The plugins of the extension are where containerd looks, and an add-on's own stay.
func TestPlugins(t *testing.T) {
	root := t.TempDir()
	from, to := filepath.Join(root, artifact.CNIPlugins), filepath.Join(root, artifact.CNIFolder)
	o := Options{Root: root, Programs: root, Report: &step.Log{Root: root, Stderr: io.Discard, Now: time.Now}}
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("a folder for plugins is made where no extension brings any")
	}
	for _, dir := range []string{from, to} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{from + "/bridge", from + "/portmap", from + "/tuning", to + "/flannel", to + "/tuning"} {
		if err := os.WriteFile(path, []byte(path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/usr/lib/other/portmap", to+"/portmap"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	entries, err := os.ReadDir(to)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, _ := os.Readlink(filepath.Join(to, e.Name()))
		got = append(got, e.Name()+">"+target)
	}
	want := []string{"bridge>" + artifact.CNIPlugins + "/bridge", "flannel>", "portmap>" + artifact.CNIPlugins + "/portmap", "tuning>"}
	if !slices.Equal(got, want) {
		t.Errorf("the folder has %q, want %q", got, want)
	}
}
