package lab

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

func cloudInit() Topology {
	return Topology{
		Name:    "cloud-init",
		About:   "1 master of Debian that cloud-init sets up from the cidata drive of imgforge build",
		Kind:    Container,
		Cluster: clusterFile("cloud-init"),
		Play:    playCloudInit,
	}
}

func playCloudInit(ctx context.Context, t *Trial) error {
	ctx, cancel := context.WithTimeout(ctx, boundTrial)
	defer cancel()
	if err := t.Containers(ctx); err != nil {
		return err
	}
	for _, name := range t.existing() {
		if _, err := t.makeFromDrive(ctx, name); err != nil {
			return err
		}
	}
	return t.playContainers(ctx)
}

// makeFromDrive makes a container that boots with the drive of a node, and leaves
// it switched off.
func (t *Trial) makeFromDrive(ctx context.Context, name string) (*Node, error) {
	drive := filepath.Join(t.Out, "secret", "drives", name+".iso")
	return t.make(ctx, NodeOptions{Name: name, Drive: drive})
}

// cloudPackages are what a cloud image of Debian has beside the packages of every node.
func cloudPackages() []string { return append(nodePackages(), "cloud-init", "netplan.io", "python3") }

// CloudTree is the root of a node that cloud-init sets up, before its first boot,
// from the cache. What Debian's packages start by themselves is started.
func (l *Lab) CloudTree(ctx context.Context) (string, error) {
	packages := cloudPackages()
	return l.cached("cloudtree", keyOf(append([]string{"cloud tree 2", release}, packages...)), func(dir string) error {
		l.logf("making a Debian tree with cloud-init")
		if err := l.debian(ctx, dir, "minbase", packages); err != nil {
			return err
		}
		// As in Debian's own cloud images.
		if _, err := l.run(ctx, "systemctl", "--root="+dir, "enable", "systemd-networkd.service", "systemd-resolved.service", "systemd-timesyncd.service"); err != nil {
			return err
		}
		for path, text := range map[string]string{"etc/machine-id": "", "etc/default/locale": "LANG=C.UTF-8\n"} {
			if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644); err != nil {
				return err
			}
		}
		return os.RemoveAll(filepath.Join(dir, "etc/hostname"))
	})
}

// seedFolder is where cloud-init's NoCloud source looks, beside drives with its label.
const seedFolder = "var/lib/cloud/seed/nocloud"

// mergeExtensions has a node merge its extensions when it boots. Debian's systems do so
// when they are told to, which the payload of a baked image does.
func mergeExtensions(root string) error {
	wants := filepath.Join(root, "etc/systemd/system/sysinit.target.wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		return err
	}
	return os.Symlink("/lib/systemd/system/systemd-sysext.service", filepath.Join(wants, "systemd-sysext.service"))
}

// seed hands a node the files of its drive: the machine underneath mounts no ISO
// 9660 in a container, so they come as NoCloud's folder instead of its drive. It
// returns the kubelet's unit, which cloud-init will write.
func (l *Lab) seed(ctx context.Context, drive, root string) (unit []byte, err error) {
	to := filepath.Join(root, seedFolder)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return nil, err
	}
	if _, err := l.run(ctx, "xorriso", "-osirrox", "on", "-indev", drive, "-extract", "/", to); err != nil {
		return nil, err
	}
	// xorriso gives the folder the modes of the drive's.
	if err := os.Chmod(to, 0o700); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(to, "user-data"))
	if err != nil {
		return nil, err
	}
	return cloudFile(data, "/"+kubeletUnit)
}

// cloudFile is what a cloud-config writes at path.
func cloudFile(userData []byte, path string) ([]byte, error) {
	var config struct {
		Files []struct {
			Path     string `yaml:"path"`
			Encoding string `yaml:"encoding"`
			Content  string `yaml:"content"`
		} `yaml:"write_files"`
	}
	if err := yaml.Unmarshal(userData, &config); err != nil {
		return nil, fmt.Errorf("decode user-data: %w", err)
	}
	for _, f := range config.Files {
		if f.Path != path {
			continue
		}
		switch f.Encoding {
		case "":
			return []byte(f.Content), nil
		case "b64":
			return base64.StdEncoding.DecodeString(f.Content)
		case "gz+b64":
			r, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(f.Content)))
			if err != nil {
				return nil, err
			}
			return io.ReadAll(r)
		}
		return nil, fmt.Errorf("%s has encoding %q", path, f.Encoding)
	}
	return nil, errors.New("user-data writes nothing at " + path)
}
