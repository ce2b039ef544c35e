package bake

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/imgforge/imgforge/images/ext4"
)

// Tool is a program that baking runs. Everything else is this project's own code.
type Tool struct {
	Name string
	// For tells which images need it.
	For string
	// Package is Debian's that has it.
	Package string
}

// Tools are all of them.
func Tools() []Tool {
	var all []Tool
	for _, name := range ext4.Tools() {
		all = append(all, Tool{name, "Fedora CoreOS, whose config goes into an ext4 file system", "e2fsprogs"})
	}
	return all
}

// Version asks the program; an error says that it is missing, and what to install.
func (t Tool) Version(ctx context.Context) (string, error) {
	path, err := ext4.Find(t.Name)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, path, "-V").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s -V: %w", path, err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first, nil
}
