//go:build lab

package debianbase

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/gpt"
	"github.com/imgforge/imgforge/images/inventory"
	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/internal/testtool"
)

// usrOf unpacks the read-only /usr of a base with the format's own tool.
func usrOf(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := gpt.Read(f, Size)
	if err != nil {
		t.Fatal(err)
	}
	e, err := table.Labelled("USR")
	if err != nil {
		t.Fatal(err)
	}
	at, _ := table.ByteRange(e)
	dir := filepath.Join(t.TempDir(), "usr")
	if out, err := exec.Command(testtool.Path(t, "unsquashfs"), "-q", "-n", "-o", itoa(at), "-d", dir, path).CombinedOutput(); err != nil {
		t.Fatalf("unsquashfs: %v\n%s", err, out)
	}
	return dir
}

// What is listed out of a base is what dpkg-query lists of it, by the file that scanners
// find, and every package that it was made of is there or was taken out again.
func TestPackagesAreListed(t *testing.T) {
	path := base(t)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	disk, err := sparse.NewFile(f)
	if err != nil {
		t.Fatal(err)
	}
	all, found, err := inventory.Disk(disk)
	if err != nil || !found {
		t.Fatalf("%v, %v", found, err)
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
	want := map[string]string{}
	query := exec.Command(testtool.Path(t, "dpkg-query"), "--admindir="+filepath.Join(usr, dpkgFolder), "--show", "--showformat=${Package} ${Version}\n")
	out, err := query.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		want[name] = version
	}
	inSystem := len(want)
	var boots []string
	for name, version := range listed {
		if want[name] == "" {
			boots = append(boots, name)
			want[name] = version
		}
	}
	slices.Sort(boots)
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
