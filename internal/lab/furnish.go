package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/imgforge/imgforge/images/debianbase"
)

// stateFolders are on the disk itself: containerd cannot lay overlays on an
// overlay, and the kubelet and etcd ask what disk they are on.
func stateFolders() []string {
	return []string{"var/lib/containerd", "var/lib/etcd", "var/lib/kubelet"}
}

// furnish makes the node's root: the tree below, over it what Ignition writes, and the
// lab's settings.
func (n *Node) furnish(ctx context.Context, dir string, o NodeOptions) error {
	if err := n.mountRoot(ctx, dir, o); err != nil {
		return err
	}
	if err := n.configure(ctx, dir, o); err != nil {
		return err
	}
	for _, folder := range stateFolders() {
		from, to := filepath.Join(n.root, folder), filepath.Join(n.state, filepath.Base(folder))
		if err := os.MkdirAll(from, 0o755); err != nil {
			return err
		}
		if folder == "var/lib/containerd" {
			if err := n.lab.copyStore(ctx, filepath.Join(o.Store, storeFolder), to); err != nil {
				return err
			}
			continue
		}
		if _, err := n.lab.run(ctx, "cp", "-a", from, to); err != nil {
			return err
		}
	}
	return nil
}

// mountRoot lays the disk that the node writes to over what all nodes have. A base has
// that in its /usr, which is mounted beside and cannot be written to.
func (n *Node) mountRoot(ctx context.Context, dir string, o NodeOptions) error {
	upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	for _, d := range []string{upper, work, n.root, n.state} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	first, usr := o.Tree, filepath.Join(o.Tree, "usr")
	base := filepath.Join(usr, debianbase.FirstRoot)
	_, err := os.Stat(base)
	isBase := err == nil
	if isBase {
		first = base
	}
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", first, upper, work)
	if _, err := n.lab.run(ctx, "mount", "-t", "overlay", "overlay", "-o", layers, n.root); err != nil {
		return err
	}
	n.lab.later("root of "+n.Name, func(ctx context.Context) error {
		_, err := n.lab.run(ctx, "umount", "--recursive", n.root)
		return err
	})
	if !isBase {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(n.root, "usr"), 0o755); err != nil {
		return err
	}
	return n.lab.runAll(ctx, []string{"mount", "--bind", usr, filepath.Join(n.root, "usr")},
		[]string{"mount", "-o", "remount,bind,ro", filepath.Join(n.root, "usr")})
}

// configure gives a node its payload, and adds the lab's settings.
func (n *Node) configure(ctx context.Context, dir string, o NodeOptions) error {
	if o.Files != nil {
		return o.Files(n.root)
	}
	if o.Payload == nil {
		unit, err := n.lab.seed(ctx, o.Drive, n.root)
		if err != nil {
			return err
		}
		if err := mergeExtensions(n.root); err != nil {
			return err
		}
		return override(n.root, unit)
	}
	if err := n.lab.ignite(ctx, o.Payload, n.root, dir); err != nil {
		return err
	}
	unit, err := os.ReadFile(filepath.Join(n.root, kubeletUnit))
	if err != nil {
		return err
	}
	return override(n.root, unit)
}

// ignite lets the real engine write a payload into root, as it does in an initrd.
func (l *Lab) ignite(ctx context.Context, payload []byte, root, dir string) error {
	engine, err := l.Tool("ignition")
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "config.ign")
	if err := os.WriteFile(config, payload, 0o600); err != nil {
		return err
	}
	for _, stage := range []string{"fetch", "files"} {
		cmd := exec.CommandContext(ctx, engine, "--root", root, "--platform", "file", "--stage", stage, "--log-to-stdout",
			"--config-cache", filepath.Join(dir, "ignition.json"), "--state-file", filepath.Join(dir, "ignition.state"),
			"--neednet", filepath.Join(dir, "neednet"))
		cmd.Env = append(os.Environ(), "IGNITION_CONFIG_FILE="+config)
		if _, err := output(cmd); err != nil {
			return fmt.Errorf("ignition: %w", err)
		}
	}
	return nil
}
