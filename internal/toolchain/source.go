package toolchain

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
)

// source is a folder of a pinned module whose files are used as they are.
type source struct {
	module string // folder under internal/tools
	of     string // the Go module
	folder string // in it
}

// sources are named as programs are.
func sources() map[string]source {
	return map[string]source{
		// What runs the engine in an initrd.
		"ignition-dracut": {module: "ignition", of: "github.com/coreos/ignition/v2", folder: "dracut/30ignition"},
	}
}

// path is where the Go command keeps the folder.
func (s source) path(ctx context.Context, root string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", s.of)
	cmd.Dir = filepath.Join(root, "internal", "tools", s.module)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find the source of %s: %w\n%s", s.of, err, bytes.TrimSpace(stderr.Bytes()))
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return "", fmt.Errorf("find the source of %s: %w", s.of, err)
	}
	return filepath.Join(found.Dir, filepath.FromSlash(s.folder)), nil
}
