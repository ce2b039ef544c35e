package btrfs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

// GRUB's own reader finds grub.cfg, and what else is there, as Flatcar's GRUB must.
func TestGRUB(t *testing.T) {
	grub := testtool.Path(t, "grub-fstest")
	from := folder(t)
	path := added(t, made(t, from))
	for _, name := range []string{"grub.cfg", "oem-release", "python/lib/text", "sysext/oem-scaleway-4593.2.raw"} {
		want, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := run(t, grub, path, "cat", "/"+name); got != string(want) {
			t.Errorf("%s: GRUB reads %d bytes, want %d", name, len(got), len(want))
		}
	}
	if got := run(t, grub, path, "cat", "/config.ign"); got != string(config()) {
		t.Errorf("config.ign: GRUB reads %d bytes", len(got))
	}
}
