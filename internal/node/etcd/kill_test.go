//go:build lab

package etcd

import (
	"testing"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool"
)

// killed lets a machine lose its power between any two steps: the first boot gets
// one step far, the next two, and so on, until one boot needs no more.
func (l *lab) killed(nodes ...*master) {
	l.t.Helper()
	for allowed := 1; ; allowed++ {
		if allowed > 40 {
			l.t.Fatal("never gets anywhere")
		}
		for _, m := range nodes {
			left := allowed
			m.fault = func(string) error {
				if left--; left < 0 {
					return errKilled
				}
				return nil
			}
			m.boot()
		}
		done := 0
		for _, m := range nodes {
			l.until(m.name+" is a voter or killed", func() bool {
				m.mu.Lock()
				ended := m.ended != nil
				m.mu.Unlock()
				return ended || m.settled() || m.reports(bootcode.EtcdSilent) || m.reports(bootcode.EtcdFounders) || m.reports(bootcode.EtcdNoQuorum)
			})
			if m.settled() {
				done++
			}
		}
		if done == len(nodes) {
			l.t.Logf("%d boots", allowed)
			return
		}
		for _, m := range nodes {
			m.halt()
		}
	}
}

// Killed at any step of founding and of joining, the masters go on where they were.
func TestKilledBetweenSteps(t *testing.T) {
	l := newLab(t, testtool.Path(t, "etcd"), 3, 3)
	l.killed(l.all()...)
	l.settle(l.all()...)
	l.node(1).write("kept")
	three := l.node(3)
	three.halt()
	three.wipe()
	l.killed(three)
	l.settle(l.all()...)
	if got := three.value(); got != "kept" {
		t.Errorf("three has %q", got)
	}
}
