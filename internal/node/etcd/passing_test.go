package etcd

import (
	"slices"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
)

// What passes is said as what the step waits for; what stays is a code, also when
// its reasons take turns; whatever moves begins anew.
func TestWhatPassesIsNoCode(t *testing.T) {
	m := &master{}
	n := &node{o: Options{Report: m, Grace: time.Hour}}
	n.passing(bootcode.EtcdSilent, "no answer from master-2\nmaster-3 has no data")
	n.passing(bootcode.EtcdSilent, "no answer from master-2\nmaster-3 does not answer")
	n.stuck = n.stuck.Add(-time.Hour)
	n.passing(bootcode.EtcdNoQuorum, "no majority")
	n.passing(bootcode.EtcdSilent, "no answer from master-2")
	n.news("agree to found")
	n.passing(bootcode.EtcdFounders, "waiting for the promise of master-2")
	n.news("agree to found")
	if want := []int{0, bootcode.EtcdNoQuorum, bootcode.EtcdSilent, 0, 0, 0}; !slices.Equal(m.codes, want) || m.texts[0] != "no answer from master-2" {
		t.Errorf("said %v, want %v:\n%q", m.codes, want, m.texts)
	}
}

// Founders are waited for in full, always; a slot without a machine only now and then.
func TestPatience(t *testing.T) {
	n := &node{o: Options{Timeout: time.Minute}, silent: map[string]bool{"master-2": true, "master-4": true}}
	founder, reserved, joined := slotOf(2), slotOf(4), slotOf(5)
	reserved.Founder, joined.Founder = false, false
	short := 0
	for n.looks = range 8 {
		if n.patience(founder) != time.Minute || n.patience(joined) != time.Minute {
			t.Error("a founder, or a master that answered, is cut short")
		}
		if n.patience(reserved) < time.Minute {
			short++
		}
	}
	if short != 6 {
		t.Errorf("a slot that is silent is cut short %d times of 8", short)
	}
}
