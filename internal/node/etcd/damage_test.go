//go:build lab

package etcd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool"
)

// What real etcds wrote is well; with one bit of it flipped etcd does not start, and
// its helper finds the place. While a quorum lives it joins anew by itself; without,
// it says so and leaves the data alone.
func TestDamagedLog(t *testing.T) {
	l := newLab(t, testtool.Path(t, "etcd"), 3, 3)
	one, two, three := l.node(1), l.node(2), l.node(3)
	l.bootAll(l.all()...)
	l.settle(l.all()...)
	for range 50 {
		one.write("kept")
	}
	for _, m := range l.all() {
		if damage, err := verify(filepath.Join(m.root, dataPath)); damage != "" || err != nil {
			t.Errorf("%s while it runs: %q, %v", m.name, damage, err)
		}
	}
	damage := func(m *master) {
		m.halt()
		logs, err := filepath.Glob(filepath.Join(m.root, dataPath, "member/wal/*.wal"))
		if err != nil || len(logs) == 0 {
			t.Fatal("no log: ", err)
		}
		f, err := os.OpenFile(logs[0], os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("damage"), 2000); err != nil {
			t.Fatal(err)
		}
	}
	damage(three)
	three.boot()
	l.until("three removes its old member", func() bool { return three.did("remove its old member") && three.did(" is damaged at byte ") })
	l.settle(l.all()...)
	if got := three.value(); got != "kept" {
		t.Errorf("three has %q", got)
	}
	if _, err := os.Stat(filepath.Join(three.root, dataPath, "member.aside-1")); err != nil {
		t.Error(err)
	}

	two.halt()
	damage(three)
	three.boot()
	l.until("three says that its data is damaged", func() bool { return three.reports(bootcode.EtcdDamaged) })
	two.boot()
	l.settle(l.all()...)
	if got := three.value(); got != "kept" {
		t.Errorf("at last three has %q", got)
	}
}
