package proof

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/basedisk"
	"github.com/imgforge/imgforge/internal/testtool/upstream"
	"github.com/imgforge/imgforge/pki"
)

// bakedFile is a cluster whose images need nothing but small stand-ins.
const bakedFile = `name: nostromo
kubernetes: {version: 1.36.3}
os: {family: imgforge}
platform: {provider: metal}
network: {mesh: wireguard}
roles:
  master: {count: 1, nodes: [{name: master-1, endpoint: 192.0.2.11}]}
  proxy: {count: 0}
  worker: {count: 1, reserve: 1}
addons: {cni: none, kubeProxy: false, coreDNS: false, metricsServer: false}
registries:
  - {host: registry.k8s.io, mirrors: [%[1]s]}
  - {host: docker.io, mirrors: [%[1]s]}
`

// bakedImages are those that the rendered manifests of that cluster name.
var bakedImages = [...]string{"registry.k8s.io/kube-apiserver:v1.36.3", "registry.k8s.io/kube-controller-manager:v1.36.3", "registry.k8s.io/kube-scheduler:v1.36.3",
	"registry.k8s.io/etcd:3.6.8-0", "registry.k8s.io/pause:3.10.2", "docker.io/library/haproxy:3.2.22"}

// lockedCluster has a store, a lock, all of it in a cache, a base and imgforge-node
// beside it. It is made once.
func lockedCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{name: "baked"}
	c.dir = work.once(t, "baked", func(dir string) error {
		site, err := upstream.Start()
		if err != nil {
			return err
		}
		defer site.Close()
		yesterday := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
		c := &cluster{name: "baked", dir: dir}
		if err := errors.Join(site.Typical(catalog.SnapshotAt(yesterday), bakedImages[:]), site.Base(catalog.SnapshotAt(yesterday)),
			os.WriteFile(c.path("cluster.yaml"), fmt.Appendf(nil, bakedFile, site.Registry), 0o644),
			os.WriteFile(c.path("keys.asc"), site.Keys, 0o644),
			smallHelper(c.path("imgforge-node")),
			basedisk.Imgforge(c.path("base.img"), map[string]string{"etc/os-release": "ID=imgforge\n", "etc/machine-id": "uninitialized\n"})); err != nil {
			return err
		}
		download := []string{"--mirror", site.Mirror, "--mirrors-only", "--keys", c.path("keys.asc"), "--cache", c.path("cache")}
		for _, args := range [][]string{{"pki", "init"}, append([]string{"lock", "--fetch"}, download...)} {
			if _, err := c.try(args...); err != nil {
				return err
			}
		}
		return nil
	})
	c.readPlan(t)
	return c
}

// smallHelper builds what stands in for imgforge-node.
func smallHelper(path string) error {
	root, err := testtool.ModuleRoot()
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./internal/testtool/imgforge-node")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// imageArgs are a build's, from the folder of the cluster given.
func imageArgs(dir string, more ...string) []string {
	return append([]string{"--offline", "--cache", filepath.Join(dir, "cache"), "--helper", filepath.Join(dir, "imgforge-node"), "--base", filepath.Join(dir, "base.img")}, more...)
}

func (c *cluster) buildImages(t testing.TB, out string, more ...string) {
	t.Helper()
	c.run(t, append([]string{"build", "-o", out}, imageArgs(c.dir, more...)...)...)
}

// storeForms are all that would give a secret of the store away, by its name: the
// bytes, their hex and base64, and of PEM the key inside.
func (c *cluster) storeForms(t testing.TB) map[string][][]byte {
	t.Helper()
	ids, err := pki.Locations{Getenv: c.env, ConfigDir: c.path("home", ".config"), Cluster: c.plan.Cluster}.Load()
	if err != nil {
		t.Fatal(err)
	}
	store, err := pki.Open(c.path("store"), c.plan.Cluster, ids)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][][]byte{}
	add := func(name string, secret []byte, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		secret = bytes.TrimSpace(secret)
		if block, _ := pem.Decode(secret); block != nil {
			secret = block.Bytes
		}
		out[name] = [][]byte{secret, []byte(hex.EncodeToString(secret)), []byte(base64.StdEncoding.EncodeToString(secret))}
	}
	for _, cert := range c.plan.Certificates {
		key, err := store.PrivateKey(cert.ID)
		add(cert.ID, key, err)
	}
	for _, k := range c.plan.Keys {
		secret, err := store.Secret(k.ID)
		add(k.ID, secret, err)
	}
	key, err := store.AuthorityKey(pki.KubeletSigner)
	add("kubelet-signer", key, err)
	return out
}

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
	for number, label := range map[string]string{"1": "ROOT", "2": "config-2", "3": "imgforge"} {
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
		if label == "ROOT" {
			external(t, "debugfs", "-R", "rdump / "+dir, part)
		} else {
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

// Nothing of the store is in anything that may be published, however deep it is
// packed; the same disks in the clear hold what their nodes need, so the search works.
func TestSealedImagesHoldNoKey(t *testing.T) {
	c := lockedCluster(t)
	c.buildImages(t, c.path("sealed"), "--format", "raw.zst,qcow2")
	c.buildImages(t, c.path("clear"), "--unsealed", "--role", "master")
	forms := c.storeForms(t)
	search := func(files map[string][]byte) map[string]string {
		seen := map[string]string{}
		for path, data := range files {
			dense := bytes.Join(bytes.Fields(data), nil)
			for name, all := range forms {
				for _, form := range all {
					if len(form) >= 6 && (bytes.Contains(data, form) || bytes.Contains(dense, form)) {
						seen[name] = path
					}
				}
			}
		}
		return seen
	}
	public := openedUp(t, c.path("sealed", artifact.Public))
	if len(public) < 100 {
		t.Errorf("only %d files were found inside", len(public))
	}
	for name, path := range search(public) {
		t.Errorf("%s is in %s", name, path)
	}
	clear := search(openedUp(t, c.path("clear", artifact.Secret, "images")))
	if len(clear) < 5 {
		t.Errorf("in the clear only %d of %d secrets are found", len(clear), len(forms))
	}
	for _, e := range entries(t, c.path("clear", artifact.Public)) {
		if strings.HasPrefix(e.contents, "(\xb5\x2f\xfd") {
			t.Error("an unsealed image is in the public part")
		}
	}
	for _, out := range []string{"sealed", "clear"} {
		text := string(c.run(t, "verify", c.path(out)))
		if !strings.Contains(text, "what is inside was checked") || !strings.Contains(text, "nothing is wrong") {
			t.Error(text)
		}
	}
}

// What verify says of images that were changed, with a manifest that was changed to fit.
func TestVerifyFindsChangedDisk(t *testing.T) {
	c := lockedCluster(t)
	out := filepath.Join(t.TempDir(), "out")
	c.buildImages(t, out, "--format", "raw", "--role", "worker")
	path := filepath.Join(out, artifact.Public, "images", "worker.raw")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("changed"), 5<<20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = c.try("verify", out)
	if err == nil || !strings.Contains(err.Error(), "public/images/worker.raw: its sha256 is") || !strings.Contains(err.Error(), "public/images/worker.raw: the sha256 of its disk is") {
		t.Errorf("%v", err)
	}
}

// Same lock, store, file and base give the same images: the two builds have nothing
// else in common, neither umask, time zone, locale, home, working folder, processors
// nor, as root, the user.
func TestReproducibleImages(t *testing.T) {
	c := lockedCluster(t)
	binary := built(t, "imgforge")
	args := append([]string{"--format", "raw.zst,qcow2"}, imageArgs("..")...)
	here := &elsewhereBuild{cluster: c.dir, umask: "022", env: []string{"TZ=UTC", "LANG=C", "LC_ALL=C", "GOMAXPROCS=1"}, args: args}
	there := &elsewhereBuild{cluster: copyTree(t, c.dir), umask: "077", user: 65534, args: args,
		env: []string{"TZ=Pacific/Kiritimati", "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8", "GOMAXPROCS=4", "NO_COLOR=1"}}
	first, second := here.build(t, binary), there.build(t, binary)
	images := 0
	for path, e := range first {
		if strings.HasPrefix(path, "/public/") && (strings.Contains(path, "images") || strings.Contains(path, "sysext")) && e.mode.IsRegular() {
			images++
		}
		if other := second[path]; e != other {
			t.Errorf("%s differs: %v and %v", path, e.mode, other.mode)
		}
	}
	if images != 6 || len(first) != len(second) {
		t.Errorf("%d images; %d and %d entries", images, len(first), len(second))
	}
}

// Killed at any moment, or on a disk that is full, a build leaves the folder that was
// there, whole, and the cache as it was; the next build comes to its end.
func TestImagesSurviveKillAndFullDisk(t *testing.T) {
	c := lockedCluster(t)
	binary := built(t, "imgforge")
	out := filepath.Join(t.TempDir(), "out")
	c.buildImages(t, out, "--format", "raw.zst")
	whole := func(when string) {
		t.Helper()
		if text, err := c.try("verify", out); err != nil || !strings.Contains(string(text), "nothing is wrong") {
			t.Fatalf("%s: %s %v", when, text, err)
		}
		if text := external(t, binary, "cache", "verify", "--cache", c.path("cache")); !strings.Contains(text, "nothing is damaged") {
			t.Fatalf("%s: %s", when, text)
		}
	}
	start := func() *exec.Cmd {
		cmd := exec.Command(binary, append([]string{"build", "-f", c.path("cluster.yaml"), "-o", out, "--format", "raw,qcow2"}, imageArgs(c.dir)...)...)
		cmd.Env = append(os.Environ(), "HOME="+c.path("home"), "XDG_CONFIG_HOME="+c.path("home", ".config"))
		return cmd
	}
	// Each wait ends with something that the build has just begun.
	for _, seen := range []string{"sysext/", "images/.imgforge-tmp-", "images/master.qcow2", "images/worker.raw"} {
		cmd := start()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if !killWhen(cmd, filepath.Dir(out), seen) {
			t.Errorf("%s was never there", seen)
		}
		whole("killed at " + seen)
	}
	c.buildImages(t, out, "--format", "raw.zst")
	whole("built again")
	for _, e := range mustRead(t, filepath.Dir(out)) {
		if e.Name() != "out" {
			t.Errorf("left: %s", e.Name())
		}
	}
	testtool.Root(t)
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=2m"); err != nil {
		testtool.Skip(t, "a tmpfs is needed: %v", err)
	}
	defer syscall.Unmount(small, 0)
	_, err := c.try(append([]string{"build", "-o", filepath.Join(small, "out"), "--format", "raw"}, imageArgs(c.dir)...)...)
	if err == nil || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("full: %v", err)
	}
	if left := mustRead(t, small); len(left) > 0 {
		t.Errorf("full: %v is left", left)
	}
	whole("full")
}

// killWhen kills a build as soon as a path with the text given is there; false when
// the build came to its end before.
func killWhen(cmd *exec.Cmd, dir, seen string) bool {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		found := false
		filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
			found = found || strings.Contains(path, ".imgforge-new-") && strings.Contains(path, seen)
			return nil
		})
		if found {
			cmd.Process.Kill()
			return <-ended != nil
		}
		select {
		case <-ended:
			return false
		case <-time.After(time.Millisecond):
		}
	}
}

func mustRead(t testing.TB, dir string) []os.DirEntry {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
