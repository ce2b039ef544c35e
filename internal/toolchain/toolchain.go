// Package toolchain builds the pinned Go programs that the tests ask and that
// the lab runs, from the modules under internal/tools of a source tree, once per
// user. It fetches nothing but Go modules.
package toolchain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// Path returns the path of a program by its usual name. One that is pinned is
// taken from the user's cache, and built from the source tree at root on its
// first use; any other is looked up on PATH.
func Path(ctx context.Context, root, name string) (string, error) {
	if p, ours := pins()[name]; ours {
		return built(ctx, root, name, p)
	}
	return onPath(name)
}

// Modules are the folders below internal/tools from which programs are built.
func Modules() []string {
	var out []string
	for _, p := range pins() {
		if !slices.Contains(out, p.module) {
			out = append(out, p.module)
		}
	}
	slices.Sort(out)
	return out
}

// built returns the program from the user's cache, building it when this is its
// first use. Several processes share one build: the first holds a lock on the
// folder while the others wait.
func built(ctx context.Context, root, name string, p pin) (string, error) {
	source := filepath.Join(root, "internal", "tools", p.module)
	key, err := fingerprint(source, p)
	if err != nil {
		return "", err
	}
	if tags := tagsOf(name); tags != "" {
		key += "-" + tags
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "imgforge", "tools", key)
	path := filepath.Join(dir, name)
	if present(path) && !errors.Is(use(dir, time.Now()), fs.ErrNotExist) { // a cache that cannot be written to will do
		return path, nil
	}
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if present(path) {
		return path, nil
	}
	if err := p.build(ctx, source, path, tagsOf(name)); err != nil {
		return "", err
	}
	return path, prune(filepath.Dir(dir), time.Now())
}

// build runs the Go compiler and puts the program in place whole.
func (p pin) build(ctx context.Context, source, path, tags string) error {
	part := path + ".part"
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-trimpath", "-tags", tags, "-ldflags", "-s -w "+p.ldflags, "-o", part, p.pkg)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED="+map[bool]string{true: "1", false: "0"}[p.cgo])
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", p.pkg, source, err, bytes.TrimSpace(out))
	}
	return os.Rename(part, path)
}

// fingerprint names everything that decides what the build makes.
func fingerprint(source string, p pin) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s %+v\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, p)
	entries, err := os.ReadDir(source) // sorted by name
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(source, e.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n", e.Name(), len(data))
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

func present(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// onPath looks in the administrator's folders too, which a plain user's PATH
// leaves out on Debian though the programs in them can be run by anybody.
func onPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range [...]string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if found, lookErr := exec.LookPath(filepath.Join(dir, name)); lookErr == nil {
			return found, nil
		}
	}
	return "", err
}

// Root is the folder of imgforge's own go.mod, at or above dir.
func Root(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := abs; ; at = filepath.Dir(at) {
		data, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && bytes.HasPrefix(data, []byte("module github.com/imgforge/imgforge\n")) {
			return at, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("no source tree of imgforge at or above %s: run it inside a checkout of imgforge, or name one with --source DIR", abs)
		}
	}
}

// Helper builds the node helper of the source tree at root into dir. The same
// sources give the same bytes, whatever was committed since.
func Helper(ctx context.Context, root, dir string) (string, error) {
	path := filepath.Join(dir, "imgforge-node")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, "./cmd/imgforge-node")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build imgforge-node: %w\n%s", err, bytes.TrimSpace(out))
	}
	return path, nil
}
