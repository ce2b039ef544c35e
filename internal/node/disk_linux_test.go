package node

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool"
)

// A disk that fills up while the files are written changes nothing, and the code
// says so.
func TestClaimOnAFullDisk(t *testing.T) {
	testtool.Root(t)
	m := newMachine(t, "worker-1")
	if err := syscall.Mount("tmpfs", m.root, "tmpfs", 0, "size=128k"); err != nil {
		testtool.Skip(t, "a tmpfs is needed: %v", err)
	}
	defer syscall.Unmount(m.root, 0)
	m.write("/etc/hostname", "worker-1\n")
	s := slotOf(t, "worker-1")
	s.Files[1].Contents, s.Files[2].User, s.Files[2].Group = make([]byte, 90<<10), "", ""
	m.carry(s)
	before := m.snapshot()
	err := m.claim()
	if !errors.Is(err, bootcode.Fail(bootcode.CannotWrite, "")) || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v", err)
	}
	if !maps.Equal(before, m.snapshot()) {
		t.Errorf("something changed: %v", slices.Sorted(maps.Keys(m.snapshot())))
	}
}
