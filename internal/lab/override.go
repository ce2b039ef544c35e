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

// override adds the lab's settings to a node's root. None replaces a file: one
// that is there already is an error. The kubelet's unit is the payload's.
func override(root string, kubelet []byte) error {
	err := fs.WalkDir(overrideFiles, "override", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := overrideFiles.ReadFile(path)
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
