package node

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Systemd reads its units again only when it has not seen those of the extension, and
// is never asked anything on a node without one.
func TestUnitsOfTheExtensionAreBrought(t *testing.T) {
	root := t.TempDir()
	var asked []string
	known := ""
	ask := func(args ...string) (string, error) {
		asked = append(asked, strings.Join(args, " "))
		return known, nil
	}
	bring := func(want ...string) {
		t.Helper()
		asked = nil
		if err := bringUnits(host{root: root}, ask); err != nil || !slices.Equal(asked, want) {
			t.Errorf("systemd is asked %q (%v), want %q", asked, err, want)
		}
	}
	bring()
	unit := filepath.Join(root, imagesUnitPath)
	if err := os.MkdirAll(filepath.Dir(unit), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unit, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	show, start := "show --property=DropInPaths --value kubelet.service", "start --no-block imgforge-images.service"
	bring(show, "daemon-reload", start)
	known = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf " + imagesDropin + "\n"
	bring(show, start)
	broken := errors.New("no bus")
	if err := bringUnits(host{root: root}, func(...string) (string, error) { return "", broken }); !errors.Is(err, broken) {
		t.Errorf("without systemd: %v", err)
	}
}
