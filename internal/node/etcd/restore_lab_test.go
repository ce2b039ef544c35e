//go:build lab

package etcd

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/snapshot"
	"github.com/imgforge/imgforge/internal/testtool"
)

// snapshot takes one by hand on this master.
func (m *master) snapshot() string {
	m.lab.t.Helper()
	config, err := Client(m.root)
	if err != nil {
		m.lab.t.Fatal(err)
	}
	path, err := snapshot.Once(context.Background(), snapshot.Options{Root: m.root, TLS: config, Report: m, Now: time.Now})
	if err != nil {
		m.lab.t.Fatal(err)
	}
	return path
}

// payload boots this master with another payload next time; its disks stay.
func (m *master) payload() {
	m.lab.t.Helper()
	m.put(clusterPath, m.clusterFile(), nil)
}

// replant gives a master the snapshots that it would have on a disk that stays.
func (m *master) replant(path string) {
	m.lab.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		m.lab.t.Fatal(err)
	}
	folder := filepath.Join(m.root, snapshot.Folder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		m.lab.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, filepath.Base(path)), data, 0o600); err != nil {
		m.lab.t.Fatal(err)
	}
	if err := os.Symlink(filepath.Base(path), filepath.Join(folder, "latest.db.age")); err != nil && !os.IsExist(err) {
		m.lab.t.Fatal(err)
	}
}

// Two of three masters lose their disks at once. With a snapshot named in the payload
// the survivor stands in the way until its data is given up by the id of its cluster;
// then all three restore the same snapshot, which only one of them has, and are voters
// of a cluster of its own. Payloads without the snapshot work on, a wiped master joins,
// and data of the old cluster is refused.
func TestRestoreAfterTwoDisksAreLost(t *testing.T) {
	forEtcds(t, func(t *testing.T, program string) {
		l := newLab(t, program, 3, 3)
		one, two, three := l.node(1), l.node(2), l.node(3)
		l.bootAll(l.all()...)
		l.settle(l.all()...)
		one.write("kept")
		three.snapshot()
		one.write("later than the snapshot")
		before, old := one.revision(), one.clusterID()
		for _, m := range l.all() {
			m.halt()
		}
		two.wipe()
		one.wipe()
		l.bootAll(l.all()...)
		l.until("one says that there is data without a quorum", func() bool { return one.reports(bootcode.EtcdNoQuorum) })

		for _, m := range l.all() {
			m.halt()
		}
		l.founded, l.restore = true, filepath.Join(snapshot.Folder, "latest.db.age")
		for _, m := range l.all() {
			m.payload()
		}
		l.bootAll(l.all()...)
		for _, m := range l.all() {
			l.until(m.name+" says that data stands in the way", func() bool { return m.reports(bootcode.EtcdRestoreBlocked) })
		}
		if three.did("set the old data aside") {
			t.Error("data is set aside although nobody said so")
		}

		l.abandon = old
		for _, m := range l.all() {
			m.halt()
			m.payload()
			m.deaf = true // no API server has answered since the boot
		}
		l.bootAll(l.all()...)
		l.settle(l.all()...)
		for _, m := range l.all() {
			if got := m.value(); got != "kept" {
				t.Errorf("%s has %q", m.name, got)
			}
			if id := m.clusterID(); id == l.abandon {
				t.Errorf("%s is in cluster %s again", m.name, id)
			}
		}
		if now := one.revision(); now < before+revisionBump/2 {
			t.Errorf("revision %d before, %d after", before, now)
		}
		if _, err := os.Stat(filepath.Join(three.root, dataPath, "member.aside-1")); err != nil {
			t.Error(err)
		}
		one.write("new")

		// The same payload restores nothing again, nor does one without the snapshot.
		restored := one.clusterID()
		for _, m := range l.all() {
			m.halt()
		}
		l.bootAll(l.all()...)
		l.settle(l.all()...)
		for _, m := range l.all() {
			m.halt()
		}
		l.restore, l.abandon = "", ""
		for _, m := range l.all() {
			m.payload()
		}
		l.bootAll(l.all()...)
		l.settle(l.all()...)
		two.halt()
		two.wipe()
		two.boot()
		l.settle(l.all()...)
		for _, m := range l.all() {
			if got, id := m.value(), m.clusterID(); got != "new" || id != restored {
				t.Errorf("%s has %q in cluster %s, not %s", m.name, got, id, restored)
			}
		}

		// The old disk of three comes back.
		three.halt()
		data := filepath.Join(three.root, dataPath)
		if err := os.Rename(filepath.Join(data, "member"), filepath.Join(data, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(data, "member.aside-1"), filepath.Join(data, "member")); err != nil {
			t.Fatal(err)
		}
		three.boot()
		l.until("three does not mix", func() bool { return three.reports(bootcode.EtcdTwoClusters) })
		l.until("the others are a majority of three voters", func() bool { return one.voters() == 3 })
	})
}

// A snapshot that is missing, cut short, or another cluster's is refused with a code,
// and nothing is founded; killed at any step, the restore goes on.
func TestRestoreRefusesAndResumes(t *testing.T) {
	l := newLab(t, testtool.Path(t, "etcd"), 3, 3)
	l.bootAll(l.all()...)
	l.settle(l.all()...)
	one := l.node(1)
	one.write("kept")
	path := one.snapshot()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	keep := filepath.Join(t.TempDir(), filepath.Base(path))
	l.founded, l.restore = true, filepath.Join(snapshot.Folder, "latest.db.age")
	for name, data := range map[string][]byte{"nothing": nil, "cut short": good[:len(good)-100], "no snapshot": []byte("age-encryption.org/v1\n")} {
		for _, m := range l.all() {
			m.halt()
			m.wipe()
		}
		if data != nil {
			if err := os.WriteFile(keep, data, 0o600); err != nil {
				t.Fatal(err)
			}
			l.node(2).replant(keep)
		}
		l.bootAll(l.all()...)
		for _, m := range l.all() {
			l.until(m.name+" refuses "+name, func() bool { return m.reports(bootcode.EtcdRestore) })
			if m.did("agree") {
				t.Errorf("%s: %s agreed to found", name, m.name)
			}
		}
	}
	if err := os.WriteFile(keep, good, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, m := range l.all() {
		m.halt()
		m.wipe()
	}
	one.put("/etc/kubernetes/encryption.yaml", []byte("    secret: \""+base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 32)))+"\"\n"), nil)
	one.replant(keep)
	l.bootAll(l.all()...)
	l.until("one does not open another store's", func() bool { return one.reports(bootcode.EtcdRestore) })
	for _, m := range l.all() {
		m.halt()
		m.wipe()
	}
	l.node(2).replant(keep)
	l.killed(l.all()...)
	l.settle(l.all()...)
	for _, m := range l.all() {
		if got := m.value(); got != "kept" {
			t.Errorf("%s has %q", m.name, got)
		}
	}
}

func (m *master) clusterID() string {
	m.lab.t.Helper()
	s, err := m.client().status(context.Background(), clientURL(m.address))
	if err != nil {
		m.lab.t.Fatal(err)
	}
	return s.Header.Cluster.String()
}

func (m *master) revision() int64 {
	m.lab.t.Helper()
	var s struct {
		Header struct {
			Revision int64 `json:"revision,string"`
		} `json:"header"`
	}
	if err := m.client().call(context.Background(), clientURL(m.address), "maintenance/status", struct{}{}, &s); err != nil {
		m.lab.t.Fatal(fmt.Errorf("revision: %w", err))
	}
	return s.Header.Revision
}
