package etcd

import (
	"sync"
	"time"
)

// trouble is what is known about an etcd that was started and does not come up. The
// zero value is none.
type trouble struct {
	mu       sync.Mutex // answers to other masters read it too
	damage   string     // of the data; it stays until that data is gone, or serves after all
	ended    string
	suspect  string    // damage that was found once beside an etcd that was started
	verified time.Time // when the data was last read as a whole
}

// applies makes damage known that a look at the first record does not show.
func (t *trouble) applies(p *presence) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case p.serving || p.disk.Held == Nothing:
		t.damage = ""
	case t.damage != "" && p.disk.Held == Data:
		p.disk = Disk{Held: Damaged}
	}
}

func (t *trouble) words() (damage, ended string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.damage, t.ended
}

// examine finds out whether the files of the data are whole before etcd is started on
// them, and, of an etcd that was started and does not come up for a while, how it ended
// and once more whether its files are whole. Damage beside an etcd that may be writing
// just then counts when two looks in a row find the same.
func (n *node) examine(p *presence) {
	t := &n.trouble
	if p.serving || p.disk.Held != Data {
		t.clear()
		return
	}
	if p.placed != "" {
		if n.stuck.IsZero() || time.Since(n.stuck) < n.o.Grace {
			return
		}
		if n.o.Ended != nil {
			t.ends(n.o.Ended())
		}
	}
	if t.suspect == "" && !t.verified.IsZero() && time.Since(t.verified) < n.o.Grace {
		return
	}
	damage, err := verify(n.path(dataPath))
	if err != nil {
		return // the disk does not answer, which says nothing about the data
	}
	t.verified = time.Now()
	if damage != "" && (p.placed == "" || damage == t.suspect) {
		t.mu.Lock()
		t.damage = damage
		t.mu.Unlock()
	}
	t.suspect = damage
	t.applies(p)
}

// clear forgets what was found while an etcd did not come up.
func (t *trouble) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended, t.suspect = "", ""
}

// ends keeps how etcd ended last: it says nothing while it is being started again.
func (t *trouble) ends(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if why != "" {
		t.ended = why
	}
}
