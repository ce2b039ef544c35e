package testtool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// pin is a program that is built from a module under internal/tools.
type pin struct {
	module string // folder under internal/tools
	pkg    string // package of the program, as go build takes it
	// ldflags are the linker's, on which the program's behaviour depends.
	ldflags string
	// cgo tells that the program links C libraries, which debian.txt names.
	cgo bool
}

// pins are the programs that are built. Versions stand in the modules' go.mod files.
func pins() map[string]pin {
	return map[string]pin{
		// The engine would ask the scratch root for a SELinux policy otherwise.
		"ignition": {module: "ignition", pkg: "github.com/coreos/ignition/v2/internal", cgo: true,
			ldflags: "-X github.com/coreos/ignition/v2/internal/distro.selinuxRelabel=false"},
		"ignition-validate": {module: "ignition", pkg: "github.com/coreos/ignition/v2/validate"},
		"butane":            {module: "butane", pkg: "github.com/coreos/butane/internal"},
		"cfssl":             {module: "cfssl", pkg: "github.com/cloudflare/cfssl/cmd/cfssl"},
		"cfssljson":         {module: "cfssl", pkg: "github.com/cloudflare/cfssl/cmd/cfssljson"},
		"containerd":        {module: "containerd", pkg: "github.com/containerd/containerd/v2/cmd/containerd"},
		"ctr":               {module: "containerd", pkg: "github.com/containerd/containerd/v2/cmd/ctr"},

		"containerd-shim-runc-v2": {module: "containerd", pkg: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"},
		"pause":                   {module: "pause", pkg: "."},

		"etcd":         {module: "etcd", pkg: "go.etcd.io/etcd/server/v3"},
		"etcd-3.7":     {module: "etcd-next", pkg: "go.etcd.io/etcd/server/v3"},
		"etcdctl":      {module: "etcd", pkg: "go.etcd.io/etcd/etcdctl/v3"},
		"k8s-strict":   {module: "k8s-strict", pkg: "."},
		"wireguard-go": {module: "wireguard", pkg: "golang.zx2c4.com/wireguard"},

		"cni-bridge":     cni("main/bridge"),
		"cni-host-local": cni("ipam/host-local"),
		"cni-loopback":   cni("main/loopback"),
		"cni-portmap":    cni("meta/portmap"),

		"kube-apiserver":          kubernetes("kube-apiserver"),
		"kube-controller-manager": kubernetes("kube-controller-manager"),
		"kube-proxy":              kubernetes("kube-proxy"),
		"kube-scheduler":          kubernetes("kube-scheduler"),
		"kubectl":                 kubernetes("kubectl"),
		"kubelet":                 kubernetes("kubelet"),
	}
}

// cni is a plugin that makes networks of pods.
func cni(plugin string) pin {
	return pin{module: "cni", pkg: "github.com/containernetworking/plugins/plugins/" + plugin}
}

// kubernetes is a program of Kubernetes, told its version: without it the
// API server calls itself v0.0.0 and refuses to emulate any.
func kubernetes(name string) pin {
	return pin{module: "kubernetes", pkg: "k8s.io/kubernetes/cmd/" + name,
		ldflags: "-X k8s.io/component-base/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"}
}

// built returns the program from the user's cache, building it when this is its
// first use. Test packages run at the same time and share one build: the first
// holds a lock on the folder while the others wait.
func built(name string) (string, error) {
	p := pins()[name]
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	source := filepath.Join(root, "internal", "tools", p.module)
	key, err := fingerprint(source, p)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "imgforge", "tools", key)
	path := filepath.Join(dir, name)
	if present(path) {
		return path, nil
	}
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if present(path) {
		return path, nil
	}
	return path, p.build(source, path)
}

// build runs the Go compiler and puts the program in place whole.
func (p pin) build(source, path string) error {
	part := path + ".part"
	cmd := exec.Command("go", "build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w "+p.ldflags, "-o", part, p.pkg)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED="+map[bool]string{true: "1", false: "0"}[p.cgo])
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", p.pkg, source, err, bytes.TrimSpace(out))
	}
	return os.Rename(part, path)
}

// fingerprint names everything that decides what the build makes.
func fingerprint(source string, p pin) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s %+v\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, p)
	entries, err := os.ReadDir(source) // sorted by name
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(source, e.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n", e.Name(), len(data))
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

func present(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// lock makes dir and waits until no other process builds in it.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { f.Close() }, nil // closing lets the lock go
}

// ModuleRoot is the folder of the project's own go.mod, above the folder in
// which go test runs a package's tests.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(data, []byte("module github.com/imgforge/imgforge\n")) {
			return dir, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod of imgforge above the working folder: run tests with go test inside the repository")
		}
		dir = parent
	}
}
