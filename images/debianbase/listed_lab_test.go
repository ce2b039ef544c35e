//go:build lab

package debianbase

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/images/inventory"
	"github.com/imgforge/imgforge/internal/testtool"
)

// usrOf unpacks the read-only /usr of a base with the format's own tool.
func usrOf(t *testing.T, path string) string {
	t.Helper()
	at, _ := partition(t, path, "USR")
	dir := filepath.Join(t.TempDir(), "usr")
	if out, err := exec.Command(testtool.Path(t, "unsquashfs"), "-q", "-n", "-o", itoa(at), "-d", dir, path).CombinedOutput(); err != nil {
		t.Fatalf("unsquashfs: %v\n%s", err, out)
	}
	return dir
}

// queried are the packages of a folder of dpkg's and their versions, as its own tool has
// them.
func queried(t *testing.T, folder string) map[string]string {
	t.Helper()
	out, err := exec.Command(testtool.Path(t, "dpkg-query"), "--admindir="+folder, "--show", "--showformat=${Package} ${Version}\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		versions[name] = version
	}
	return versions
}

// folderOf is a folder of dpkg's in which a list alone is what is installed.
func folderOf(t *testing.T, list string) string {
	t.Helper()
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	err = os.WriteFile(filepath.Join(folder, "status"), text, 0o644)
	for _, name := range []string{"info", "updates"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(folder, name), 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// What is listed out of a base is what dpkg-query lists of it, by the file that scanners
// find, and every package that it was made of is there or was taken out again.
func TestPackagesAreListed(t *testing.T) {
	path := base(t)
	image, err := disk.Open(path, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	all, err := inventory.Disk(image)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d packages, %v", len(all), err)
	}
	listed := map[string]string{}
	for _, c := range all {
		listed[c.Name] = c.Version
	}
	usr := usrOf(t, path)
	// The link that a booted system has under /var leads there.
	if to, err := os.Readlink(filepath.Join(usr, FirstRoot, "var/lib/dpkg")); err != nil || to != "../../usr/lib/dpkg" {
		t.Errorf("/var/lib/dpkg leads to %q: %v", to, err)
	}
	want := queried(t, filepath.Join(usr, dpkgFolder))
	inSystem := len(want)
	inBoot := queried(t, folderOf(t, filepath.Join(usr, dpkgFolder, "status.d/boot")))
	boots := slices.Sorted(maps.Keys(inBoot))
	maps.Copy(want, inBoot)
	if !maps.Equal(listed, want) || !slices.Equal(boots, []string{"dracut-core", "grub-efi-amd64-bin", "grub-pc-bin", "ignition"}) {
		t.Errorf("listed %d, dpkg-query has %d; of what boots %q", len(listed), inSystem, boots)
	}
	for _, p := range archived(t) {
		if listed[p.Name] == "" && p.Name != "dracut" && p.Name != "grub-common" {
			t.Errorf("%s is not listed", p.Name)
		}
	}
	t.Logf("%d packages in the system, %d in what boots", inSystem, len(boots))
}
