//go:build lab

package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// bakery is a folder in which a user works, and the programs that imgforge consists of.
type bakery struct {
	lab *Lab
	dir string // cluster.yaml, its store, its lock and what is built
	bin string
}

// newBakery builds imgforge, and has a store for the cluster file named in testdata.
func newBakery(t *testing.T, l *Lab, file string) *bakery {
	t.Helper()
	b := &bakery{lab: l, dir: t.TempDir()}
	root, err := testtool.ModuleRoot()
	must(t, err)
	b.bin = filepath.Join(b.dir, "bin")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", b.bin+"/", "./cmd/imgforge", "./cmd/imgforge-node")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build imgforge: %v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join("testdata", file))
	must(t, err)
	write := func(registry string) {
		must(t, os.WriteFile(b.path("cluster.yaml"), fmt.Appendf(nil, string(text), registry), 0o600))
	}
	write("http://127.0.0.1:1") // nobody is asked yet
	b.imgforge(t, "pki", "init")
	var p plan.Plan
	must(t, json.Unmarshal([]byte(b.imgforge(t, "plan", "--json")), &p))
	site := l.publish(t, p.Images, p.Kubernetes.Version)
	write(site.Registry)
	must(t, os.WriteFile(b.path("keys.asc"), site.Keys, 0o600))
	var upgrades []string
	for name, version := range published() {
		upgrades = append(upgrades, "--upgrade", name+"="+version)
	}
	download := append(b.cache(t), "--mirror", site.Mirror, "--mirrors-only")
	b.imgforge(t, slices.Concat([]string{"lock"}, upgrades, download)...)
	b.imgforge(t, append([]string{"cache", "prune"}, b.cache(t)...)...)
	t.Log(b.imgforge(t, append([]string{"fetch"}, download...)...))
	return b
}

func (b *bakery) path(elem ...string) string {
	return filepath.Join(append([]string{b.dir}, elem...)...)
}

// cache is where downloads stay from run to run: Debian's packages are large.
func (b *bakery) cache(t *testing.T) []string {
	t.Helper()
	user, err := os.UserCacheDir()
	must(t, err)
	return []string{"--cache", filepath.Join(user, "imgforge", "lab-blobs")}
}

// imgforge is what a command of it prints.
func (b *bakery) imgforge(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(b.bin, "imgforge"), args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "HOME="+b.dir, "XDG_CONFIG_HOME="+b.path(".config"))
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("imgforge %s: %v\n%s", strings.Join(args, " "), err, said.String())
	}
	return string(out)
}

// base is the file that `imgforge base` makes of what is locked, from the cache when
// the same was made before.
func (b *bakery) base(t *testing.T) string {
	t.Helper()
	// Debian's own arguments, and those with which an emulated processor is fastest.
	args := []string{"--kernel-argument", "mitigations=off", "--kernel-argument", "audit=0"}
	for _, a := range emulated() {
		args = append(args, "--kernel-argument", a)
	}
	key := append([]string{"base 1", b.makesBase(t)}, args...)
	locked, err := os.ReadFile(b.path("imgforge.lock"))
	must(t, err)
	_, debian, _ := strings.Cut(string(locked), "\ndebian:\n")
	debian, _, _ = strings.Cut(debian, "\nimages:\n")
	dir, err := b.lab.cached("base", keyOf(append(key, debian)), func(dir string) error {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		t.Log(b.imgforge(t, slices.Concat([]string{"base", "--offline", "-o", filepath.Join(dir, "base.img")}, args, b.cache(t))...))
		return nil
	})
	must(t, err)
	must(t, b.lab.prune("base", dir))
	return filepath.Join(dir, "base.img")
}

// makesBase names the sources that a base is made by.
func (b *bakery) makesBase(t *testing.T) string {
	t.Helper()
	root, err := testtool.ModuleRoot()
	must(t, err)
	h := sha256.New()
	for _, pattern := range []string{"*.go", "initrd/*", "system/*"} {
		found, err := filepath.Glob(filepath.Join(root, "images", "debianbase", pattern))
		must(t, err)
		for _, path := range found {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			data, err := os.ReadFile(path)
			must(t, err)
			fmt.Fprintf(h, "%s %d\n%s", filepath.Base(path), len(data), data)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// disk is the sealed image of the masters.
func (b *bakery) disk(t *testing.T) string {
	t.Helper()
	t.Log(b.imgforge(t, append([]string{"build", "--offline", "--format", "raw", "--role", "master", "--base", b.base(t)}, b.cache(t)...)...))
	t.Log(b.imgforge(t, "verify", "out"))
	return b.path("out", "public", "images", "master.raw")
}

// claim is a file with the line of `imgforge claims` for a node.
func (b *bakery) claim(t *testing.T, node string) string {
	t.Helper()
	for line := range strings.Lines(b.imgforge(t, "claims")) {
		if strings.Contains(line, "."+node+".") {
			path := b.path("claim-of-" + node)
			must(t, os.WriteFile(path, []byte(line), 0o600))
			return path
		}
	}
	t.Fatalf("imgforge claims prints no line for %s", node)
	return ""
}
