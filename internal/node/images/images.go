// Package images gets a node ready to run containers without a registry, before the
// kubelet starts: it imports the bundles that the node's image brought, pins what they
// hold so that nobody collects it, and links the plugins for networks of pods to where
// containerd looks for them. When nothing has changed it does next to nothing.
package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// Options are a node. Empty ones are those of a running system.
type Options struct {
	Root string // "/" on a node
	// Containerd is the socket, and Programs the folders in which ctr lies, separated
	// by colons.
	Containerd, Programs string
	Report               step.Reporter
}

func (o Options) orDefault() Options {
	if o.Containerd == "" {
		o.Containerd = "/run/containerd/containerd.sock"
	}
	if o.Programs == "" {
		o.Programs = "/usr/bin:/usr/sbin:/usr/local/bin:/opt/bin"
	}
	return o
}

// Run links the plugins and imports every bundle that is not there in whole. Its error
// is a boot code.
func Run(ctx context.Context, o Options) error {
	o = o.orDefault()
	if err := linkPlugins(o.Root); err != nil {
		return bootcode.Fail(bootcode.ImportFailed, "%v", err)
	}
	bundles, err := filepath.Glob(filepath.Join(o.Root, artifact.BundleFolder, "*.tar"))
	if err != nil {
		return bootcode.Fail(bootcode.ImportFailed, "%v", err)
	}
	c, err := newClient(o)
	if err != nil && len(bundles) > 0 {
		return bootcode.Fail(bootcode.ContainerdDown, "%v", err)
	}
	count := 0
	for _, path := range bundles {
		n, err := c.bring(ctx, path, o.Report)
		if err != nil {
			return asFailure(filepath.Join(artifact.BundleFolder, filepath.Base(path)), err)
		}
		count += n
	}
	if len(bundles) > 0 {
		o.Report.Done(step.Images, fmt.Sprintf("%d container images are imported and pinned", count))
	}
	return nil
}

func asFailure(bundle string, err error) *bootcode.Failure {
	var unanswered *silent
	if errors.As(err, &unanswered) {
		return bootcode.Fail(bootcode.ContainerdDown, "%v", err)
	}
	return bootcode.Fail(bootcode.ImportFailed, "%s: %v", bundle, err)
}

// bring imports a bundle unless all its images are there, as they are in it, and
// pinned: what an import that was cut off leaves is not.
func (c client) bring(ctx context.Context, path string, report step.Reporter) (int, error) {
	wanted, err := readIndex(path)
	if err != nil {
		return 0, err
	}
	have, err := c.list(ctx)
	if err != nil {
		return 0, err
	}
	if len(lacking(wanted, have, true)) == 0 {
		return len(wanted), nil
	}
	report.Waiting(step.Images, fmt.Sprintf("for the import of %d container images from %s", len(wanted), filepath.Base(path)))
	if err := c.load(ctx, path); err != nil {
		return 0, err
	}
	if have, err = c.list(ctx); err != nil {
		return 0, err
	}
	if names := lacking(wanted, have, false); len(names) > 0 {
		return 0, fmt.Errorf("after the import these images are not in the store as they are in the bundle: %q", names)
	}
	for _, i := range wanted {
		if err := c.pin(ctx, i.name); err != nil {
			return 0, err
		}
	}
	return len(wanted), nil
}

// lacking names the images that are not there with their digests, and pinned where
// that is asked for.
func lacking(wanted, have []image, pinned bool) (names []string) {
	for _, w := range wanted {
		if !slices.ContainsFunc(have, func(h image) bool { return h.name == w.name && h.digest == w.digest && (h.pinned || !pinned) }) {
			names = append(names, w.name)
		}
	}
	return names
}

// linkPlugins makes a link to each plugin of the node's extension. What somebody else
// put there stays.
func linkPlugins(root string) error {
	from, to := filepath.Join(root, artifact.CNIPlugins), filepath.Join(root, artifact.CNIFolder)
	plugins, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the system has its own
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, p := range plugins {
		at, target := filepath.Join(to, p.Name()), artifact.CNIPlugins+"/"+p.Name()
		if old, err := os.Readlink(at); err == nil && old == target {
			continue
		}
		if info, err := os.Lstat(at); err == nil && info.Mode().Type() != fs.ModeSymlink {
			continue
		}
		if err := replaceLink(at, target); err != nil {
			return err
		}
	}
	return nil
}

// replaceLink makes a link in one step.
func replaceLink(at, target string) error {
	temp := filepath.Join(filepath.Dir(at), ".imgforge-tmp-"+filepath.Base(at))
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, temp); err != nil {
		return err
	}
	return os.Rename(temp, at)
}
