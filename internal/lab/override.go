package lab

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// overrideFiles are all that the lab adds to what a payload wrote, beside the
// drop-in that points the kubelet at one of them.
//
//go:embed override
var overrideFiles embed.FS

const (
	kubeletUnit   = "etc/systemd/system/kubelet.service"
	kubeletDropIn = kubeletUnit + ".d/90-imgforge-lab.conf"
	kubeletFolder = "/etc/imgforge-lab/kubelet.d"
)

// enabled are the lab's units under what starts them.
func enabled() map[string]string {
	return map[string]string{
		"imgforge-lab.service":           "sysinit.target",
		"imgforge-lab-wireguard.service": "multi-user.target",
	}
}

// Overrides lists the paths on a node that the lab adds.
func Overrides() ([]string, error) {
	var paths []string
	err := fs.WalkDir(overrideFiles, "override", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, strings.TrimPrefix(path, "override"))
		}
		return err
	})
	return append(paths, "/"+kubeletDropIn), err
}

// tableOfDisks is the one file of the tree that the lab replaces: it names the disks of
// the base.
const tableOfDisks = "etc/fstab"

// override adds the lab's settings to a node's root. None replaces a file of the
// payload: one that is there already is an error. The kubelet's unit is the payload's.
func override(root string, kubelet []byte) error {
	err := fs.WalkDir(overrideFiles, "override", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := overrideFiles.ReadFile(path)
		if err == nil && path == "override/"+tableOfDisks {
			err = os.RemoveAll(filepath.Join(root, tableOfDisks))
		}
		if err != nil {
			return err
		}
		return add(root, strings.TrimPrefix(path, "override/"), string(data))
	})
	if err != nil {
		return err
	}
	for unit, target := range enabled() {
		wants := filepath.Join(root, "etc/systemd/system", target+".wants")
		if err := os.MkdirAll(wants, 0o755); err != nil {
			return err
		}
		if err := os.Symlink("../"+unit, filepath.Join(wants, unit)); err != nil {
			return err
		}
	}
	command, err := startCommand(kubelet)
	if err != nil {
		return err
	}
	return add(root, kubeletDropIn, fmt.Sprintf("[Service]\nExecStart=\nExecStart=%s \\\n  --config-dir=%s\n", command, kubeletFolder))
}

func add(root, path, text string) error {
	full := filepath.Join(root, path)
	if _, err := os.Lstat(full); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the payload has a file at /%s, which the lab would replace", path)
	}
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	return os.WriteFile(full, []byte(text), 0o644)
}

// startCommand is the value of the kubelet's ExecStart, with its continuation lines.
func startCommand(unit []byte) (string, error) {
	const key = "\nExecStart="
	_, rest, found := strings.Cut(string(unit), key)
	if !found {
		return "", fmt.Errorf("/%s has no ExecStart", kubeletUnit)
	}
	var command []string
	for line := range strings.Lines(rest) {
		line = strings.TrimRight(line, "\n")
		command = append(command, line)
		if !strings.HasSuffix(line, `\`) {
			break
		}
	}
	return strings.Join(command, "\n"), nil
}

// containerOverrides are what a container has otherwise than a machine that boots the
// base, beside files. No file of the payload is replaced or left out.
func containerOverrides() []Override {
	return []Override{
		{Path: "/usr, on nodes of os.family imgforge", Text: "The base's own, of its packages and files, as a folder that is mounted read-only: no squashfs, no partition. Its kernel and initrd take no part."},
		{Path: "/etc/extensions/imgforge", Text: "The product's system extension as a folder, since containers have no loop devices; systemd-sysext of the node merges it, which the lab enables where cloud-init sets a node up. Its runc is Debian's, which finds its libraries in the tree; its crictl is of another minor than Kubernetes."},
		{Path: "/etc/extensions/" + ownExtension, Text: "A second extension: etcdctl, which the lab's checks call, and wireguard-go where the mesh is WireGuard."},
		{Path: "/var/lib/imgforge/images", Text: "The product's bundles, mounted read-only. /var/lib/containerd has them imported and pinned already, by the code of imgforge-images.service, which finds that so on every node: unpacking the same images in each node at once would measure the disk of this machine."},
		{Path: "/var/lib/containerd, /var/lib/etcd, /var/lib/kubelet", Text: "Folders of the machine's disk, since containerd lays no overlays on an overlay."},
	}
}
