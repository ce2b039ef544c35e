package inventory

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/internal/testtool/basedisk"
)

// onDisk is what a disk's packages are called.
func onDisk(t *testing.T, path string) (urls []string) {
	t.Helper()
	image, err := disk.Open(path, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	all, err := Disk(image)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		urls = append(urls, c.PURL)
	}
	return urls
}

// A disk's packages are those of its root; one without dpkg has none that are found.
func TestDisk(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"Debian": {map[string]string{"var/lib/dpkg/status": "Package: bash\nStatus: install ok installed\nVersion: 5.2-1\nArchitecture: amd64\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n",
			"usr/lib/os-release": "ID=debian\nVERSION_ID=\"13\"\n"}, []string{"pkg:deb/debian/bash@5.2-1?arch=amd64&distro=debian-13"}},
		"another": {map[string]string{"etc/x": "x"}, nil},
	} {
		if urls := onDisk(t, basedisk.Debian(t, tc.files)); !slices.Equal(urls, tc.want) {
			t.Errorf("%s: %q", name, urls)
		}
	}
}

// Of imgforge's own base they lie in the read-only /usr, and those beside them that the
// initrd and the boot loaders have parts of.
func TestDiskOfImgforge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := basedisk.Imgforge(path, map[string]string{"etc/x": "x"}); err != nil {
		t.Fatal(err)
	}
	urls := onDisk(t, path)
	if want := []string{"pkg:deb/debian/systemd@1.0-1?arch=amd64&distro=debian-12", "pkg:deb/debian/tinc@1.0.36-2%2Bb2?arch=amd64&distro=debian-12",
		"pkg:deb/debian/tzdata@2025b-0%2Bdeb12u1?arch=all&distro=debian-12", "pkg:deb/debian/ignition@1.0-1?arch=amd64&distro=debian-12"}; !slices.Equal(urls, want) {
		t.Errorf("%q", urls)
	}
}
