//go:build lab

package debianbase

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

// archived are the packages of a base, as apt chooses them from this machine's
// archive, which must be that of [Release]. They are fetched once.
func archived(t *testing.T) []Package {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "imgforge", "debs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"install", "-qq", "-y", "--print-uris", "-o", "Dir::State::status=" + filepath.Join(t.TempDir(), "status"), "-o", "APT::Install-Recommends=false",
		"-o", "Dir::Cache::archives=" + t.TempDir(), "-o", "Acquire::ForceHash=SHA256", "?essential", "?priority(required)"}
	if err := os.WriteFile(strings.TrimPrefix(args[5], "Dir::State::status="), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(testtool.Path(t, "apt-get"), append(args, slices.Concat(Packages(), MakingPackages())...)...).Output()
	if err != nil {
		t.Fatalf("apt-get: %v", err)
	}
	var all []Package
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		url, sum := strings.Trim(f[0], "'"), strings.TrimPrefix(f[3], "SHA256:")
		name, _, _ := strings.Cut(f[1], "_")
		p := Package{Name: name, Path: filepath.Join(dir, sum), SHA256: sum}
		if _, err := os.Stat(p.Path); err != nil {
			if out, err := exec.Command(testtool.Path(t, "curl"), "-sfL", "-o", p.Path+".part", url).CombinedOutput(); err != nil {
				t.Fatalf("curl %s: %v %s", url, err, out)
			}
			if err := os.Rename(p.Path+".part", p.Path); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, p)
	}
	return all
}
