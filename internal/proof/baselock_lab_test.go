//go:build lab

package proof

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/debianbase"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/upstream"
)

// aptChooses are the packages of a base as apt itself chooses them from this machine's
// archive, which must be that of the base: by name, the file. They are fetched once.
func aptChooses(t *testing.T) map[string]string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir, status := filepath.Join(cache, "imgforge", "debs"), filepath.Join(t.TempDir(), "status")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(status, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	args := []string{"install", "-qq", "-y", "--print-uris", "-o", "Dir::State::status=" + status, "-o", "APT::Install-Recommends=false",
		"-o", "Dir::Cache::archives=" + t.TempDir(), "-o", "Acquire::ForceHash=SHA256", "?essential", "?priority(required)"}
	out, err := exec.Command(testtool.Path(t, "apt-get"), append(args, slices.Concat(debianbase.Packages(), debianbase.MakingPackages())...)...).Output()
	if err != nil {
		t.Fatalf("apt-get: %v", err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		name, _, _ := strings.Cut(f[1], "_")
		files[name] = filepath.Join(dir, strings.TrimPrefix(f[3], "SHA256:"))
		if _, err := os.Stat(files[name]); err != nil {
			external(t, "curl", "-sfL", "-o", files[name]+".part", strings.Trim(f[0], "'"))
			if err := os.Rename(files[name]+".part", files[name]); err != nil {
				t.Fatal(err)
			}
		}
	}
	return files
}

// The base is made by the commands that a user types, lock and base, out of the real
// packages: what the lock chooses for itself is what apt chooses.
func TestBaseFromLock(t *testing.T) {
	testtool.Root(t)
	files := aptChooses(t)
	site, err := upstream.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	var index strings.Builder
	for name, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		site.Package(name, data)
		index.WriteString(external(t, "dpkg-deb", "-f", path, "Package", "Version", "Essential", "Priority", "Multi-Arch", "Provides", "Pre-Depends", "Depends") + "\n")
	}
	snapshot := catalog.SnapshotAt(time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1))
	c := &cluster{name: "base", dir: t.TempDir()}
	if err := errors.Join(site.Typical(snapshot, bakedImages[:]), site.Debian("12", snapshot, index.String(), ""),
		os.WriteFile(c.path("cluster.yaml"), fmt.Appendf(nil, familyFile, site.Registry, "imgforge"), 0o644), os.WriteFile(c.path("keys.asc"), site.Keys, 0o644)); err != nil {
		t.Fatal(err)
	}
	download := func(args ...string) []string {
		return append(args, "--mirror", site.Mirror, "--mirrors-only", "--keys", c.path("keys.asc"), "--cache", c.path("cache"))
	}
	c.run(t, download("lock")...)
	lock := string(mustReadFile(t, c.path("imgforge.lock")))
	for name := range files {
		if !strings.Contains(lock, "- name: "+name+"\n") {
			t.Errorf("apt chooses %s, and the lock does not", name)
		}
	}
	if _, packages, _ := strings.Cut(lock, "\n  packages:\n"); strings.Count(packages, "use: [base]") != len(files) {
		t.Errorf("the lock has %d packages for the base, apt %d", strings.Count(packages, "use: [base]"), len(files))
	}
	out := c.path("base.img")
	if text := c.run(t, download("base", "-o", out)...); !strings.Contains(string(text), fmt.Sprintf("of %d Debian packages as of %s", len(files), snapshot)) {
		t.Errorf("%s", text)
	}
	d := readDisk(t, out)
	external(t, "sgdisk", "-v", out)
	external(t, "fsck.fat", "-n", d.extract(t, "EFI-SYSTEM"))
	external(t, "unsquashfs", "-s", d.extract(t, "USR"))
	external(t, "e2fsck", "-fn", d.extract(t, "ROOT"))
}
