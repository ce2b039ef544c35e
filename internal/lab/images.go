package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// image is what one container image is made of.
type image struct {
	ref string
	// runs is the program that a container starts when nothing else is asked for.
	runs string
	// programs are static and lie in /usr/bin by their names.
	programs []string
	// packages are Debian's, with what they need and nothing else.
	packages []string
}

// controlPlane are the images of masters under the names that the plan has for them.
func controlPlane(i plan.Images) []image {
	return []image{
		{ref: i.Pause, runs: "pause", programs: []string{"pause"}},
		{ref: i.Etcd, runs: "etcd", programs: []string{"etcd"}},
		{ref: i.APIServer, runs: "kube-apiserver", programs: []string{"kube-apiserver"}},
		{ref: i.ControllerManager, runs: "kube-controller-manager", programs: []string{"kube-controller-manager"}},
		{ref: i.Scheduler, runs: "kube-scheduler", programs: []string{"kube-scheduler"}},
		{ref: i.HAProxy, runs: "haproxy", packages: []string{"haproxy"}},
		{ref: i.Keepalived, runs: "keepalived", programs: []string{"imgforge-node"}, packages: []string{"keepalived"}},
	}
}

// ImageStore is containerd's folder with every image of the control plane
// imported and unpacked, from the cache. Nodes get copies of it.
func (l *Lab) ImageStore(ctx context.Context, refs plan.Images) (string, error) {
	images := controlPlane(refs)
	key := []string{"store 3", release}
	for _, i := range images {
		key = append(key, i.ref)
		key = append(key, i.packages...)
		for _, name := range i.programs {
			sum, err := l.contentOf(name)
			if err != nil {
				return "", err
			}
			key = append(key, name, sum)
		}
	}
	return l.cached("images", keyOf(key), func(dir string) error {
		archives, err := os.MkdirTemp(l.Cache, ".archives-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(archives)
		var paths []string
		for n, i := range images {
			path := filepath.Join(archives, fmt.Sprintf("%d.tar", n))
			l.logf("making image %s", i.ref)
			if err := l.archive(ctx, path, i); err != nil {
				return fmt.Errorf("image %s: %w", i.ref, err)
			}
			paths = append(paths, path)
		}
		return l.fillStore(ctx, dir, paths)
	})
}

// archive makes one image.
func (l *Lab) archive(ctx context.Context, path string, i image) error {
	root := path + ".root"
	defer os.RemoveAll(root)
	if len(i.packages) > 0 {
		tree, err := l.cached("packages", keyOf(append([]string{"packages 1", release}, i.packages...)), func(dir string) error {
			return l.debian(ctx, dir, "extract", i.packages)
		})
		if err != nil {
			return err
		}
		if _, err := l.run(ctx, "cp", "-al", tree, root); err != nil {
			return err
		}
		if err := addUsers(root); err != nil {
			return err
		}
	}
	for _, name := range i.programs {
		if err := l.place(filepath.Join(root, "usr/bin"), name, name); err != nil {
			return err
		}
	}
	return writeArchive(path, i.ref, i.runs, root)
}

// addUsers names the users that programs look up: packages that are only
// extracted bring none. Without root, keepalived drops its scripts and runs on.
func addUsers(root string) error {
	for path, text := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"etc/group":  "root:x:0:\nnogroup:x:65534:\n",
	} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// place links or copies a program into dir, under another name where asked.
func (l *Lab) place(dir, name, as string) error {
	path, err := l.Tool(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return copyFile(path, filepath.Join(dir, as))
}

// fillStore imports archives with a containerd whose mounts nobody else sees.
func (l *Lab) fillStore(ctx context.Context, dir string, archives []string) error {
	state, err := os.MkdirTemp("", "imgforge-lab-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)
	socket, config := filepath.Join(state, "sock"), filepath.Join(state, "config.toml")
	text := fmt.Sprintf("version = 3\nroot = %q\nstate = %q\ndisabled_plugins = [%q, %q, %q, %q]\n[grpc]\naddress = %q\n[ttrpc]\naddress = %q\n", dir,
		filepath.Join(state, "state"), "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images",
		"io.containerd.podsandbox.controller.v1.podsandbox", socket, socket+".ttrpc")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	containerd, err := l.Tool("containerd")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	log := &strings.Builder{}
	daemon := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private", containerd, "--config", config)
	daemon.Stdout, daemon.Stderr = log, log
	daemon.Cancel = func() error { return daemon.Process.Signal(syscall.SIGTERM) }
	daemon.WaitDelay = 10 * time.Second
	if err := daemon.Start(); err != nil {
		return err
	}
	ctr := func(args ...string) error {
		_, err := l.run(ctx, "ctr", append([]string{"--address", socket, "--namespace", "k8s.io"}, args...)...)
		return err
	}
	err = func() error {
		started, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := Await(started, "containerd answers", func(context.Context) error { return ctr("version") }); err != nil {
			return err
		}
		for _, path := range archives {
			if err := ctr("images", "import", path); err != nil {
				return err
			}
		}
		return nil
	}()
	cancel()
	daemon.Wait() // ended by the signal, which is no news
	if err != nil {
		return fmt.Errorf("fill the image store: %w\n%s", err, log)
	}
	return nil
}

// copyStore gives a node a store of its own. Contents are shared as links, as
// they never change; databases are copied.
func (l *Lab) copyStore(ctx context.Context, store, dir string) error {
	if _, err := l.run(ctx, "cp", "-al", store, dir); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !slices.Contains([]string{".db", ".toml"}, filepath.Ext(path)) {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return copyBytes(filepath.Join(store, rel), path)
	})
}

// copyFile makes an executable copy, as a link where it can.
func copyFile(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	return copyBytes(from, to)
}

func copyBytes(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// contentOf is the SHA-256 of a program.
func (l *Lab) contentOf(program string) (string, error) {
	path, err := l.Tool(program)
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
