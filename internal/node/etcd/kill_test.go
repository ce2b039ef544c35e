//go:build lab

package etcd

import (
	"testing"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool"
)

// killed lets a machine lose its power between any two steps: the first boot gets
// one step far, the next two, and so on, until one boot needs no more. A boot ends
// when a machine was killed and the others can only wait for it, or are killed too;
// in one without a kill all must become voters, however slow the machine below is.
func (l *lab) killed(nodes ...*master) {
	l.t.Helper()
	for allowed := 1; ; allowed++ {
		if allowed > 40 {
			l.t.Fatal("never gets anywhere")
		}
		for _, m := range nodes {
			left, last := allowed, ""
			m.fault = func(name string) error {
				if name == last {
					return nil // tried again: how often is a matter of time
				}
				last = name
				if left--; left < 0 {
					return errKilled
				}
				return nil
			}
			m.boot()
		}
		kills := 0
		l.until("all are voters, or one was killed", func() bool {
			settled := 0
			kills = 0
			for _, m := range nodes {
				if m.killed() {
					kills++
				} else if m.settled() {
					settled++
				}
			}
			return kills > 0 || settled == len(nodes)
		})
		if kills == 0 {
			l.t.Logf("%d boots", allowed)
			return
		}
		for _, m := range nodes {
			l.until(m.name+" is a voter, killed, or waits for one that was", func() bool { return m.killed() || m.settled() || m.waits() })
		}
		for _, m := range nodes {
			m.halt()
		}
	}
}

func (m *master) killed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended != nil
}

// waits tells whether the last word of a machine is that it needs others.
func (m *master) waits() bool {
	return m.reports(bootcode.EtcdSilent) || m.reports(bootcode.EtcdFounders) || m.reports(bootcode.EtcdNoQuorum) || m.reports(bootcode.EtcdStarting)
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
