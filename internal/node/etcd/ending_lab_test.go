//go:build lab

package etcd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/snapshot"
	"github.com/imgforge/imgforge/internal/testtool"
)

// A payload that gives up the cluster takes nothing from one that lives: a master that
// boots it while the others serve is a voter again, and when all have it, whoever is
// left waits for the others' answers and is a majority with the next.
func TestAbandonSparesACluster(t *testing.T) {
	forEtcds(t, func(t *testing.T, program string) {
		l := newLab(t, program, 3, 3)
		one, two, three := l.node(1), l.node(2), l.node(3)
		l.bootAll(l.all()...)
		l.settle(l.all()...)
		one.write("kept")
		three.snapshot()
		old := one.clusterID()
		l.founded, l.restore, l.abandon = true, filepath.Join(snapshot.Folder, "latest.db.age"), old
		one.halt()
		if voters, err := readVoters(filepath.Join(one.root, dataPath)); voters != 3 || err != nil {
			t.Errorf("%d voters on one's disk, %v", voters, err)
		}
		one.payload()
		one.boot()
		l.settle(l.all()...)

		for _, m := range l.all() {
			m.halt()
			m.payload()
		}
		one.boot()
		l.until("one waits for the others", func() bool { return one.reports(bootcode.EtcdSilent) })
		if _, err := os.Stat(filepath.Join(one.root, manifestPath)); err == nil {
			t.Error("etcd of one is started though its cluster is named in etcd.abandon")
		}
		three.wipe()
		l.bootAll(two, three)
		l.settle(l.all()...)
		for _, m := range l.all() {
			if got, id := m.value(), m.clusterID(); got != "kept" || id != old || m.did("give up") {
				t.Errorf("%s has %q in cluster %s, not %s", m.name, got, id, old)
			}
		}
	})
}

// The kubelet is deaf: with no API server it ends no pod. Two of three disks go while
// the third's etcd runs, and its data is given up: its helper ends it, and not those of
// others on the same machine; then the snapshot is restored.
func TestEndsWhatTheKubeletLeaves(t *testing.T) {
	l := newLab(t, testtool.Path(t, "etcd"), 3, 3)
	one, two, three := l.node(1), l.node(2), l.node(3)
	l.bootAll(l.all()...)
	l.settle(l.all()...)
	one.write("kept")
	three.snapshot()
	l.founded, l.restore, l.abandon = true, filepath.Join(snapshot.Folder, "latest.db.age"), one.clusterID()
	for _, m := range l.all() {
		m.halt()
		m.payload()
		m.deaf = true
	}
	l.bootAll(l.all()...)
	l.settle(l.all()...) // as a majority has its data
	for _, m := range []*master{one, two} {
		m.halt()
		m.wipe()
	}
	l.bootAll(one, two)
	l.until("three gives up", func() bool { return three.did("give up the old data") })
	l.settle(l.all()...)
	if !three.did("runs without its manifest") {
		t.Error("etcd of three was not ended by its helper")
	}
	for _, m := range l.all() {
		if got := m.value(); got != "kept" {
			t.Errorf("%s has %q", m.name, got)
		}
		if id := m.clusterID(); id == l.abandon {
			t.Errorf("%s is in cluster %s again", m.name, id)
		}
	}
}
