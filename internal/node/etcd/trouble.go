package etcd

import (
	"sync"
	"time"
)

// trouble is what is known about an etcd that was started and does not come up. The
// zero value is none.
type trouble struct {
	mu       sync.Mutex // answers to other masters read it too
	damage   string     // of the data, found twice; it stays until that data is gone
	ended    string
	suspect  string    // damage that was found once
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

// examine finds out why an etcd does not come up, once that has lasted: how it ended,
// and whether the files of its data are whole. Damage counts when two looks in a row
// find the same: etcd may be starting and writing just then.
func (n *node) examine(p *presence) {
	t := &n.trouble
	if p.serving || p.placed == "" || p.disk.Held != Data {
		t.mu.Lock()
		t.ended, t.suspect = "", ""
		t.mu.Unlock()
		return
	}
	if n.stuck.IsZero() || time.Since(n.stuck) < n.o.Grace {
		return
	}
	if n.o.Ended != nil {
		if why := n.o.Ended(); why != "" {
			t.mu.Lock()
			t.ended = why
			t.mu.Unlock()
		}
	}
	if t.suspect == "" && time.Since(t.verified) < n.o.Grace {
		return
	}
	damage, err := verify(n.path(dataPath))
	if err != nil {
		return // the disk does not answer, which says nothing about the data
	}
	t.verified = time.Now()
	if damage != "" && damage == t.suspect {
		t.mu.Lock()
		t.damage = damage
		t.mu.Unlock()
	}
	t.suspect = damage
	t.applies(p)
}
