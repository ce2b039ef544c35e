package debianbase

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tool is a program that making a base runs. Everything else is this project's own
// code, or runs inside of the system that becomes the base.
type Tool struct {
	Name    string
	Package string // Debian's that has it
	ask     string // argument for its version
}

// Tools are all of them.
func Tools() []Tool {
	return []Tool{{"mmdebstrap", "mmdebstrap", "--version"}, {"mke2fs", "e2fsprogs", "-V"}}
}

// Version asks the program; an error says that it is missing, and what to install.
func (t Tool) Version(ctx context.Context) (string, error) {
	path, err := find(t.Name)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, path, t.ask).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", path, t.ask, err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first, nil
}

// find looks a program up, also where only root's path leads.
func find(name string) (string, error) {
	for _, at := range []string{name, filepath.Join("/usr/sbin", name), filepath.Join("/sbin", name)} {
		if path, err := exec.LookPath(at); err == nil {
			return path, nil
		}
	}
	for _, t := range Tools() {
		if t.Name == name {
			return "", fmt.Errorf("%s is missing: install Debian's package %s", name, t.Package)
		}
	}
	return "", fmt.Errorf("%s is missing", name)
}
