package etcd

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// Clocks that differ by more than tokens allow are named, each by how much; what an
// answer took on its way is no difference, and when none is left that is said once.
func TestClocksOfMasters(t *testing.T) {
	m, root := &master{}, t.TempDir()
	c := &clocks{}
	now := time.Date(2031, 5, 4, 12, 0, 0, 900_000_000, time.UTC)
	heard := func(name string, ahead time.Duration) {
		c.heard(name, now.Add(ahead).Format(http.TimeFormat), now.Add(-4*time.Second), now)
	}
	heard("master-2", 0)
	heard("master-3", time.Minute)
	c.report(root, m)
	if len(m.texts) != 0 {
		t.Errorf("clocks that are well: %q", m.texts)
	}
	heard("master-2", -time.Hour)
	heard("master-3", time.Hour)
	clock := &step.Log{Root: root, Stderr: io.Discard, Now: time.Now}
	clock.Waiting(step.Time, "for a time server")
	c.report(root, m)
	if len(m.texts) != 0 {
		t.Errorf("while the clock is waited for: %q", m.texts)
	}
	clock.Failed(bootcode.Fail(bootcode.TimeUnset, ""))
	c.report(root, m)
	if !m.reports(bootcode.ClockDiffers) || !m.did("the clock of master-2 is 1h0m0s behind this node's") || !m.did("the clock of master-3 is 1h0m0s ahead of this node's") {
		t.Errorf("said %q", m.texts)
	}
	clock.Failed(bootcode.Fail(bootcode.ClockDiffers, "")) // as m would have kept it
	c = &clocks{}                                          // the helper starts anew
	c.heard("master-3", "never", now, now)
	c.report(root, m)
	if len(m.texts) != 1 {
		t.Errorf("before anybody has answered: %q", m.texts)
	}
	heard("master-2", 0)
	heard("master-3", 0)
	c.report(root, m)
	clock.Done(step.Time, "")
	c.report(root, m)
	if said := strings.Join(m.texts[1:], "\n"); said != "the clock agrees with those of the other masters" {
		t.Errorf("said %q", said)
	}
}
