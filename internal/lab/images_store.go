package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/imgforge/imgforge/images/bundle"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/images"
	"github.com/imgforge/imgforge/internal/plan"
)

// storesKept is how many image stores of each kind stay in the cache: one in use,
// and the one before it, for whoever goes back and forth between two versions.
const storesKept = 2

// storesRest is how long a store stays after its last use: another lab may be
// making its nodes of it.
const storesRest = 15 * time.Minute

// What a folder of images holds.
const (
	storeFolder   = "store"   // containerd's own, with all images imported, unpacked and pinned
	bundlesFolder = "bundles" // what they were imported from, as nodes find it
)

// ImageStore is a folder with every image of a cluster in the product's bundles, and
// with containerd's folder after their import, from the cache. Nodes get both: a bundle
// whose images are there already is not imported again. The image with the node helper
// in it lies on top of all others: a new helper costs seconds.
func (l *Lab) ImageStore(ctx context.Context, refs plan.Images) (string, error) {
	var others, own []image
	for _, i := range imagesOf(refs) {
		if i.product {
			own = append(own, i)
		} else {
			others = append(others, i)
		}
	}
	below, err := l.layered(ctx, "images", "", others)
	if err != nil {
		return "", err
	}
	return l.layered(ctx, "store", below, own)
}

// layered is a folder of images on top of those of another, if any.
func (l *Lab) layered(ctx context.Context, kind, below string, images []image) (string, error) {
	key := []string{"store 6", filepath.Base(below)}
	for _, i := range images {
		made, err := l.content(ctx, i)
		if err != nil {
			return "", err
		}
		key = append(key, made...)
	}
	dir, err := l.cached(kind, keyOf(key), func(dir string) error {
		if below != "" {
			if err := l.copyImages(ctx, below, dir); err != nil {
				return err
			}
		}
		return l.fillStore(ctx, dir, kind, images)
	})
	if err != nil {
		return "", err
	}
	return dir, l.prune(kind, dir)
}

// copyImages begins a folder of images as the copy of another.
func (l *Lab) copyImages(ctx context.Context, from, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if _, err := l.run(ctx, "cp", "-al", filepath.Join(from, bundlesFolder), filepath.Join(dir, bundlesFolder)); err != nil {
		return err
	}
	return l.copyStore(ctx, filepath.Join(from, storeFolder), filepath.Join(dir, storeFolder))
}

// fillStore makes images, writes them as a bundle and imports it.
func (l *Lab) fillStore(ctx context.Context, dir, name string, images []image) error {
	layers, err := os.MkdirTemp(l.Cache, ".layers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(layers)
	var list []bundle.Image
	for n, i := range images {
		l.logf("making image %s", i.ref)
		made, err := l.makeImage(ctx, filepath.Join(layers, fmt.Sprintf("%d.tar", n)), i)
		if err != nil {
			return fmt.Errorf("image %s: %w", i.ref, err)
		}
		digest, err := made.Digest()
		if err != nil {
			return err
		}
		list = append(list, bundle.Image{Ref: i.ref, Digest: digest.String(), From: bundle.Made(made)})
	}
	bundles := filepath.Join(dir, bundlesFolder)
	if err := os.MkdirAll(bundles, 0o755); err != nil {
		return err
	}
	if err := bundle.WriteFile(ctx, filepath.Join(bundles, name+".tar"), "amd64", list); err != nil {
		return err
	}
	return l.importInto(ctx, filepath.Join(dir, storeFolder), bundles)
}

// importInto has the code of a node's imgforge-images.service import and pin what is in
// bundles and not yet in a store.
func (l *Lab) importInto(ctx context.Context, store, bundles string) error {
	root, err := os.MkdirTemp("", "imgforge-lab-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	at := filepath.Join(root, artifact.BundleFolder)
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.Symlink(bundles, at)); err != nil {
		return err
	}
	ctr, err := l.Tool("ctr")
	if err != nil {
		return err
	}
	return l.withContainerd(ctx, store, func(_ commands, socket string) error {
		return images.Run(ctx, images.Options{Root: root, Containerd: socket, Programs: filepath.Dir(ctr), Report: quiet{}})
	})
}

// quiet tells nobody what a step does: its error says enough.
type quiet struct{}

func (quiet) Failed(*bootcode.Failure) {}
func (quiet) Waiting(_, _ string)      {}
func (quiet) Done(_, _ string)         {}

// StoreWithout is a folder of images whose store lacks some, as after a bundle that
// was made without them; no bundle could bring them. It ends with the lab.
func (l *Lab) StoreWithout(ctx context.Context, store string, refs ...string) (string, error) {
	dir := filepath.Join(l.work, "store-without-"+keyOf(append(refs, filepath.Base(store))))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Join(dir, bundlesFolder), 0o755); err != nil {
		return "", err
	}
	if err := l.copyStore(ctx, filepath.Join(store, storeFolder), filepath.Join(dir, storeFolder)); err != nil {
		return "", err
	}
	return dir, l.withContainerd(ctx, filepath.Join(dir, storeFolder), func(ctr commands, _ string) error {
		list, err := ctr("images", "list", "--quiet")
		if err != nil {
			return err
		}
		names := strings.Fields(list)
		for _, ref := range refs {
			// containerd puts a registry before names that have none.
			at := slices.IndexFunc(names, func(name string) bool { return name == ref || strings.HasSuffix(name, "/"+ref) })
			if at < 0 {
				return fmt.Errorf("image %s is not in the store, which has %q", ref, names)
			}
			if _, err := ctr("images", "remove", "--sync", names[at]); err != nil {
				return err
			}
		}
		return nil
	})
}

// commands runs ctr and returns what it prints.
type commands func(args ...string) (string, error)

// withContainerd runs a containerd on a store. Nobody else sees its mounts.
func (l *Lab) withContainerd(ctx context.Context, store string, do func(ctr commands, socket string) error) error {
	state, err := os.MkdirTemp("", "imgforge-lab-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)
	socket, config := filepath.Join(state, "sock"), filepath.Join(state, "config.toml")
	text := fmt.Sprintf("version = 3\nroot = %q\nstate = %q\ndisabled_plugins = [%q, %q, %q, %q]\n[grpc]\naddress = %q\n[ttrpc]\naddress = %q\n", store,
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
	ctr := func(args ...string) (string, error) {
		return l.run(ctx, "ctr", append([]string{"--address", socket, "--namespace", "k8s.io"}, args...)...)
	}
	started, stop := context.WithTimeout(ctx, time.Minute)
	err = Await(started, "containerd answers", func(context.Context) error { _, err := ctr("version"); return err })
	stop()
	if err == nil {
		err = do(ctr, socket)
	}
	cancel()
	daemon.Wait() // ended by the signal, which is no news
	if err != nil {
		return fmt.Errorf("image store %s: %w\n%s", store, err, log)
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

// removeReplaced removes a store that no lab uses.
func (l *Lab) removeReplaced(dir string) error {
	f, err := l.alone(dir)
	if f == nil {
		return err
	}
	defer f.Close()
	l.logf("removing %s, which newer ones replace", dir)
	return errors.Join(os.RemoveAll(dir), os.Remove(f.Name()))
}

// prune removes the stores of a kind that were not used for longest. The one
// that is in use now becomes the newest.
func (l *Lab) prune(kind, used string) error {
	now := time.Now()
	if err := os.Chtimes(used, now, now); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(l.Cache, kind+"-*"))
	if err != nil {
		return err
	}
	ages := map[string]time.Time{}
	for _, dir := range found {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another lab was faster
		}
		if err != nil {
			return err
		}
		ages[dir] = info.ModTime()
	}
	slices.SortFunc(found, func(a, b string) int { return cmp.Or(ages[b].Compare(ages[a]), cmp.Compare(a, b)) })
	for _, dir := range found[min(storesKept, len(found)):] {
		if now.Sub(ages[dir]) < storesRest {
			continue
		}
		if err := l.removeReplaced(dir); err != nil {
			return err
		}
	}
	return nil
}
