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
	line    lineage // the cluster that all this is of
	waits   bool    // without data, for a snapshot to restore
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
	case p.waits:
		return Fetching
	case p.past == Never:
		return Blank
	case p.past == Agreed:
		return Willing
	}
	return Lost
}

// look reads this node's own state. etcd is asked before the disk is read: etcd
// writes first and answers later. What others have data of, choose tells.
func (n *node) look(ctx context.Context, choose func(own lineage) lineage) (p presence, err error) {
	// An etcd without a majority takes connections and does not answer: who asks this
	// node must not wait for that for as long as it waits for this node.
	asking, cancel := context.WithTimeout(ctx, n.o.Timeout/4)
	s, err := n.etcd.status(asking, clientURL(n.address))
	cancel()
	p.serving, p.status = err == nil, s
	if p.placed, err = n.placed(); err != nil {
		return p, err
	}
	if p.disk, err = readDisk(n.path(dataPath)); err != nil {
		return p, err
	}
	if p.line = n.own(p.disk); p.disk.Held != Data {
		p.line = choose(p.line)
	}
	p.waits = n.restore != "" && n.candidate.Load() == nil
	if p.past, p.added, err = n.recall(p.line); err != nil {
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
	o := Observation{Self: n.self, Founded: n.founded, Restore: n.restore != "", Abandon: n.abandon, Others: make([]Peer, len(n.others))}
	minors := make([]int, len(n.others))
	var wg sync.WaitGroup
	for i, s := range n.others {
		wg.Go(func() { o.Others[i], minors[i] = n.ask(ctx, s) })
	}
	wg.Wait()
	n.looks++
	// Which cluster all this is about is the disk's to say, or that of those who have
	// data; it is asked before the list is, and once more after it.
	choose := func(own lineage) (l lineage) { l, o.Strange, _ = n.joined(o.Others, own); return l }
	first, err := readDisk(n.path(dataPath))
	if err != nil {
		return o, err
	}
	if n.line = n.own(first); first.Held != Data {
		n.line = choose(n.line)
	}
	n.list(ctx, &o, minors)
	me, err := n.look(ctx, choose)
	if err != nil {
		return o, err
	}
	if me.line != n.line {
		o.View = View{} // data has appeared: the next look asks about that
	}
	n.line, o.Founding = me.line, me.line.id
	c := n.candidate.Load()
	o.Restored = c != nil && c.hash == n.line.restored
	o.Stuck = !n.stuck.IsZero() && time.Since(n.stuck) >= n.o.Grace
	n.examine(&me)
	o.Damage, o.Ended = n.trouble.words()
	o.Disk, o.Past, o.Added, o.Placed, o.Serving = me.disk, me.past, me.added, me.placed, me.serving
	if o.named() && o.Placed == "" && o.Past != GivenUp && !o.View.Quorum {
		o.Voters, err = readVoters(n.path(dataPath))
	}
	return o, err
}

// list asks for the member list of this node's cluster.
func (n *node) list(ctx context.Context, o *Observation, minors []int) {
	var sources []string
	for i, p := range o.Others {
		n.silent[p.Name] = p.State == Silent
		switch {
		case p.State != Serving:
		case p.Cluster != n.line.id:
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
}

// ask gets the freshest answer of one master: its helper's, or, when that does not
// run, what its etcd says by answering at all.
func (n *node) ask(ctx context.Context, s Slot) (p Peer, minor int) {
	p = Peer{Slot: s}
	ctx, cancel := context.WithTimeout(ctx, n.patience(s))
	defer cancel()
	a, err := n.probe(ctx, s, n.addresses[s.Name])
	if err == nil {
		p.State, p.Cluster, p.Founding, p.Candidate, p.restored = stateOf(a.State), a.Cluster, a.Founding, a.Candidate, a.Restored
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
		if r.err != nil || r.cluster != n.line.id {
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
