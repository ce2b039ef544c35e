package etcd

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"sync"
	"time"
)

// presence is what a node finds on itself.
type presence struct {
	disk    Disk
	past    Past
	added   ID
	placed  string
	serving bool
	status  status
}

// state is how a node describes itself to the others.
func (p presence) state() State {
	switch {
	case p.serving:
		return Serving
	case p.disk.Held == Data:
		return Holding
	case p.disk.Held == Damaged:
		return Broken
	case p.past == Never:
		return Blank
	case p.past == Agreed:
		return Willing
	}
	return Lost
}

// look reads this node's own state. etcd is asked before the disk is read: etcd
// writes first and answers later.
func (n *node) look(ctx context.Context) (p presence, err error) {
	s, err := n.etcd.status(ctx, clientURL(n.address))
	p.serving, p.status = err == nil, s
	if p.placed, err = n.placed(); err != nil {
		return p, err
	}
	if p.past, p.added, err = n.recall(); err != nil {
		return p, err
	}
	if p.disk, err = readDisk(n.path(dataPath)); err != nil {
		return p, err
	}
	n.trouble.applies(&p)
	// Only of a first start is it known that a database without a log holds nothing.
	if p.disk.Held == Nothing && (p.past == Never || p.past == Member) && remains(n.path(dataPath)) {
		p.disk.Held = Damaged
	}
	return p, nil
}

// observe asks everybody, then looks at itself.
func (n *node) observe(ctx context.Context) (Observation, error) {
	o := Observation{Self: n.self, Founding: n.founding, Founded: n.founded, Restore: n.restore, Others: make([]Peer, len(n.others))}
	minors := make([]int, len(n.others))
	var wg sync.WaitGroup
	for i, s := range n.others {
		wg.Go(func() { o.Others[i], minors[i] = n.ask(ctx, s) })
	}
	wg.Wait()
	n.looks++
	var sources []string // of member lists
	for i, p := range o.Others {
		n.silent[p.Name] = p.State == Silent
		switch {
		case p.State != Serving:
		case p.Cluster != n.founding:
			o.Strange = p.Name
		default:
			sources = append(sources, clientURL(n.addresses[p.Name]))
			if o.View.Minor == 0 || minors[i] < o.View.Minor {
				o.View.Minor = minors[i]
			}
		}
	}
	// With no other voter it is this node that knows the list, once its etcd answers.
	n.view(ctx, append(sources, clientURL(n.address)), &o.View)
	me, err := n.look(ctx)
	if err != nil {
		return o, err
	}
	n.examine(&me)
	o.Damage, o.Ended = n.trouble.words()
	o.Disk, o.Past, o.Added, o.Placed, o.Serving = me.disk, me.past, me.added, me.placed, me.serving
	return o, nil
}

// ask gets the freshest answer of one master: its helper's, or, when that does not
// run, what its etcd says by answering at all.
func (n *node) ask(ctx context.Context, s Slot) (p Peer, minor int) {
	p = Peer{Slot: s}
	ctx, cancel := context.WithTimeout(ctx, n.patience(s))
	defer cancel()
	a, err := n.probe(ctx, s, n.addresses[s.Name])
	if err == nil {
		p.State, p.Cluster, p.Founding = stateOf(a.State), a.Cluster, a.Founding
		if p.State != Serving {
			return p, 0
		}
	}
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		return p, 0 // nobody is there: its etcd would be as silent
	}
	status, err := n.etcd.status(ctx, clientURL(n.addresses[s.Name]))
	switch {
	case err == nil:
		p.State, p.Cluster = Serving, status.Header.Cluster
	case p.State == Serving: // its helper reached it, this node does not
		p.State = Holding
	}
	return p, status.minor()
}

// patience is how long to wait for a master's answer. Slots that no machine has been
// made for yet never answer, and no founding rests on their silence: every fourth look
// waits for them in full.
func (n *node) patience(s Slot) time.Duration {
	if !s.Founder && n.silent[s.Name] && n.looks%4 != 0 {
		return n.o.Timeout / 10
	}
	return n.o.Timeout
}

// view gets the member list, confirmed by a quorum if one answers.
func (n *node) view(ctx context.Context, sources []string, v *View) {
	type reply struct {
		cluster ID
		list    []Entry
		quorum  bool
		err     error
	}
	replies := make([]reply, len(sources))
	var wg sync.WaitGroup
	for i, base := range sources {
		wg.Go(func() {
			r := &replies[i]
			if r.cluster, r.list, r.err = n.etcd.members(ctx, base, true); r.err == nil {
				r.quorum = true
				return
			}
			r.cluster, r.list, r.err = n.etcd.members(ctx, base, false)
		})
	}
	wg.Wait()
	n.voters = n.voters[:0]
	for i, r := range replies {
		if r.err != nil || r.cluster != n.founding {
			continue
		}
		if !v.Known || r.quorum && !v.Quorum {
			v.Known, v.Quorum, v.Entries = true, r.quorum, r.list
		}
		if r.quorum {
			n.voters = append(n.voters, sources[i])
		}
	}
}

func clientURL(address string) string { return "https://" + net.JoinHostPort(address, clientPort) }

// quiet drops what a server logs about handshakes: who has no leaf of etcd's
// authority is of no interest, and could fill the journal.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
