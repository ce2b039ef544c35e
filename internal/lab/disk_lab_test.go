//go:build lab

package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

// What virtual machines boot is the base as it was made: its disk is a link to it, its
// kernel is as it lies there, and the lab's config stands behind its initrd.
func TestSystemIsTheBase(t *testing.T) {
	b := newTrial(t, "vm-wireguard")
	system, err := b.machineSystem(t.Context())
	must(t, err)
	t.Log(system)
	base, err := b.BaseDisk(t.Context())
	must(t, err)
	made, err := os.Stat(filepath.Join(base, baseImage))
	must(t, err)
	boots, err := os.Stat(system.Base)
	must(t, err)
	if !os.SameFile(made, boots) {
		t.Errorf("machines boot %s, not %s", system.Base, base)
	}
	if line := strings.Join(system.Arguments, " "); !strings.HasPrefix(line, "root=LABEL=ROOT ") || !strings.Contains(line, " mount.usr=PARTUUID=") || strings.Contains(line, "$") {
		t.Errorf("the kernel's arguments are %q", line)
	}
	for _, args := range [][]string{{"e2fsck", "-fn", system.Lab}, {"debugfs", "-R", "ls -l extensions", system.Lab}, {"debugfs", "-R", "ls -l bundles", system.Lab}} {
		out, err := exec.Command(testtool.Path(t, args[0]), args[1:]...).CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
		t.Logf("%q\n%s", args, out)
	}
}
