//go:build lab

package etcd

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool"
)

// Both etcds that a cluster may run answer the same way.
func forEtcds(t *testing.T, test func(t *testing.T, program string)) {
	for _, name := range []string{"etcd", "etcd-3.7"} {
		t.Run(name, func(t *testing.T) { test(t, testtool.Path(t, name)) })
	}
}

func (l *lab) bootAll(nodes ...*master) {
	l.t.Helper()
	for _, m := range nodes {
		m.boot()
	}
}

func (l *lab) all() (out []*master) {
	for _, name := range l.names {
		out = append(out, l.nodes[name])
	}
	return out
}

// settle waits until every machine is a voter and etcd counts as many.
func (l *lab) settle(nodes ...*master) {
	l.t.Helper()
	start := time.Now()
	for _, m := range nodes {
		l.until(m.name+" is a voter", m.settled)
	}
	l.until("all are voters", func() bool { return nodes[0].voters() == len(nodes) })
	l.t.Logf("settled after %.1f s", time.Since(start).Seconds())
}

// Three machines with empty disks make one cluster; the id is the one that was
// known before. One is wiped, and is a voter again with nobody's help; then the
// power fails for all.
func TestThreeFoundOneIsWipedAndAllLosePower(t *testing.T) {
	forEtcds(t, func(t *testing.T, program string) {
		l := newLab(t, program, 3, 3)
		one, two, three := l.node(1), l.node(2), l.node(3)
		one.boot()
		two.boot()
		l.until("one waits for the silent third", func() bool { return one.reports(bootcode.EtcdSilent) })
		if n := len(one.members()); n != 0 {
			t.Fatalf("%d members before all founders agreed", n)
		}
		three.boot()
		l.settle(l.all()...)
		two.write("kept")
		before := one.members()

		three.halt()
		three.wipe()
		three.boot()
		l.until("three removes its old member", func() bool { return three.did("remove its old member") })
		l.until("three starts as a learner", func() bool { return three.did("start as a learner") })
		l.settle(l.all()...)
		for _, e := range before {
			for _, now := range one.members() {
				if e.ID == now.ID && e.Name == three.name {
					t.Errorf("%s kept the name %s that it had voted under", three.name, e.ID)
				}
			}
		}
		if got := three.value(); got != "kept" {
			t.Errorf("three has %q", got)
		}

		for _, m := range l.all() {
			m.halt()
		}
		l.bootAll(l.all()...)
		l.settle(l.all()...)
		if got := one.value(); got != "kept" {
			t.Errorf("after the power cut one has %q", got)
		}
	})
}

// Without a quorum a wiped machine waits, says so, and changes nothing; it joins as
// soon as there is one. With too little data left for one it says that too.
func TestWipedWithoutQuorumWaits(t *testing.T) {
	forEtcds(t, func(t *testing.T, program string) {
		l := newLab(t, program, 3, 3)
		one, two, three := l.node(1), l.node(2), l.node(3)
		l.bootAll(l.all()...)
		l.settle(l.all()...)
		one.write("kept")
		two.halt()
		three.halt()
		three.wipe()
		three.boot()
		l.until("three waits for a quorum", func() bool { return three.reports(bootcode.EtcdNoQuorum) })
		if three.did("start") || three.did("found") {
			t.Errorf("three started: %v", three.texts)
		}
		two.boot()
		l.settle(l.all()...)

		two.halt()
		three.halt()
		two.wipe()
		three.wipe()
		two.boot()
		three.boot()
		l.until("two says that the quorum is gone", func() bool { return two.reports(bootcode.EtcdQuorumGone) })
		l.until("three says that the quorum is gone", func() bool { return three.reports(bootcode.EtcdQuorumGone) })
		if two.did("agree") || three.did("agree") {
			t.Error("wiped masters agreed to found while one has data")
		}
	})
}

// A payload with etcd.founded never founds, however empty the masters are.
func TestFoundedPayloadNeverFounds(t *testing.T) {
	l := newLab(t, testtool.Path(t, "etcd"), 3, 3)
	l.founded = true
	for _, m := range l.all() {
		m.wipe()
	}
	l.bootAll(l.all()...)
	for _, m := range l.all() {
		l.until(m.name+" refuses", func() bool { return m.reports(bootcode.EtcdDataLost) })
		if m.did("agree") {
			t.Errorf("%s agreed to found", m.name)
		}
	}
}

// Masters that boot without their data disks do not take themselves for new.
func TestDataDisksThatAreNotMounted(t *testing.T) {
	l := newLab(t, testtool.Path(t, "etcd"), 3, 3)
	l.bootAll(l.all()...)
	l.settle(l.all()...)
	for _, m := range l.all() {
		m.halt()
		hide(t, m.root, "hidden", dataPath)
	}
	l.bootAll(l.all()...)
	for _, m := range l.all() {
		l.until(m.name+" refuses", func() bool { return m.reports(bootcode.EtcdDataLost) })
	}
	for _, m := range l.all() {
		m.halt()
		hide(t, m.root, dataPath, "hidden-empty")
		if err := os.Rename(filepath.Join(m.root, "hidden"), filepath.Join(m.root, dataPath)); err != nil {
			t.Fatal(err)
		}
	}
	l.bootAll(l.all()...)
	l.settle(l.all()...)
}

// hide moves from away to, or, when to is the data folder, the other way round,
// and leaves an empty data folder.
func hide(t *testing.T, root, to, from string) {
	t.Helper()
	if to == dataPath {
		to, from = from, dataPath
		if err := os.Rename(filepath.Join(root, from), filepath.Join(root, to)); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.Rename(filepath.Join(root, from), filepath.Join(root, to)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, from), 0o700); err != nil {
		t.Fatal(err)
	}
}

// One founder makes a cluster of one; two masters that are added to the plan join
// it, one after the other.
func TestOneGrowsToThree(t *testing.T) {
	forEtcds(t, func(t *testing.T, program string) {
		l := newLab(t, program, 3, 1)
		l.node(1).boot()
		l.settle(l.node(1))
		l.node(1).write("kept")
		l.bootAll(l.node(2), l.node(3))
		l.settle(l.all()...)
		if got := l.node(3).value(); got != "kept" {
			t.Errorf("the last has %q", got)
		}
	})
}

// Damaged data is set aside, and the data of a member that was removed too: the
// machine joins anew, and nothing is deleted.
func TestUselessDataIsSetAside(t *testing.T) {
	l := newLab(t, testtool.Path(t, "etcd"), 3, 3)
	one, three := l.node(1), l.node(3)
	l.bootAll(l.all()...)
	l.settle(l.all()...)

	three.halt()
	logs, err := filepath.Glob(filepath.Join(three.root, dataPath, "member/wal/*.wal"))
	if err != nil || len(logs) == 0 {
		t.Fatal("no log: ", err)
	}
	if err := os.WriteFile(logs[0], []byte("not a log"), 0o600); err != nil {
		t.Fatal(err)
	}
	three.boot()
	l.until("three sets its data aside", func() bool { return three.did("set the old data aside") })
	l.settle(l.all()...)

	three.halt()
	if err := one.client().remove(t.Context(), clientURL(one.address), idOf(t, one, three.name)); err != nil {
		t.Fatal(err)
	}
	three.boot()
	l.until("three sets its data aside again", func() bool { return three.did("set the old data aside") })
	l.settle(l.all()...)
	for i := 1; i <= 2; i++ {
		if _, err := os.Stat(filepath.Join(three.root, dataPath, fmt.Sprintf("member.aside-%d", i))); err != nil {
			t.Error(err)
		}
	}
}

func idOf(t *testing.T, m *master, name string) ID {
	t.Helper()
	for _, e := range m.members() {
		if e.Name == name {
			return e.ID
		}
	}
	t.Fatalf("%s is no member", name)
	return 0
}

// A voter can be spared while the others answer, and not while one is away or joins.
func TestSpareOfRealVoters(t *testing.T) {
	l := newLab(t, testtool.Path(t, "etcd"), 3, 3)
	l.bootAll(l.all()...)
	l.settle(l.all()...)
	one, three := l.node(1), l.node(3)
	ask := func(name string) string {
		why, err := Spare(t.Context(), Options{Root: one.root}, name)
		if err != nil {
			return err.Error()
		}
		return why
	}
	for _, name := range l.names {
		l.until(name+" can be spared", func() bool { return ask(name) == "" })
	}
	three.halt()
	l.until("nobody can be spared without three", func() bool {
		return ask("master-1") == "etcd: master-3 does not answer" && ask("master-2") == "etcd: master-3 does not answer"
	})
	if why := ask("master-3"); why != "" {
		t.Errorf("three itself: %s", why)
	}
	three.wipe()
	three.boot()
	l.settle(l.all()...)
	l.until("all are back", func() bool { return ask("master-1") == "" })
}
