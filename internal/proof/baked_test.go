package proof

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/internal/artifact"
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
	if err == nil || !strings.Contains(err.Error(), "public/images/worker.raw: the sha256 of its disk is") {
		t.Errorf("%v", err)
	}
}

// Same lock, store, file and base give the same images: the two builds have nothing
// else in common, neither umask, time zone, locale, home, working folder, processors,
// SOURCE_DATE_EPOCH, the order in which files came to be, nor, as root, the user.
func TestReproducibleImages(t *testing.T) {
	c := lockedCluster(t)
	binary := built(t, "imgforge")
	args := append([]string{"--format", "raw.zst,qcow2"}, imageArgs("..")...)
	here := &elsewhereBuild{cluster: c.dir, umask: "022", env: []string{"TZ=UTC", "LANG=C", "LC_ALL=C", "GOMAXPROCS=1"}, args: args}
	there := &elsewhereBuild{cluster: copyTree(t, c.dir), umask: "077", user: 65534, args: args, backwards: true,
		env: []string{"TZ=Pacific/Kiritimati", "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8", "GOMAXPROCS=4", "NO_COLOR=1", "SOURCE_DATE_EPOCH=86400"}}
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
