package reboot

import "time"

// The model is two nodes of one role, both due, and two masters: one that sees and
// acts in a moment, and one that may act on what it saw at any time before. Time goes
// in steps of five minutes, pods come and go, machines reboot or stay down. All that
// can happen is tried, in every order; see [explore].
const (
	stride    = 5 * time.Minute
	forLong   = 25 // strides in which everything has to end
	nobody    = -1
	noGrant   = -1
	runs      = int8(0)
	goingDown = int8(1)
	isDown    = int8(2)
)

type mlock struct {
	holder, boot, until int8
	phase               Phase
	code                int
}

type mnode struct {
	boot, state           int8
	due, cordoned, ours   bool
	grantBoot, grantUntil int8
	restUntil             int8
	restCode              int
	pod                   bool
	closes                int8
	begunBy               int8 // boots that were begun, to stop counting somewhere
}

type world struct {
	tick int8
	lock mlock
	node [2]mnode
	seen bool // the slow master has looked, and saw:
	past past
}

type past struct {
	tick int8
	lock mlock
	node [2]mnode
	pod  [2]bool
}

func instant(tick int8) time.Time { return at(0).Add(time.Duration(tick) * stride) }

// stride of an instant.
func tickOf(t time.Time) int8 { return int8(t.Sub(at(0)) / stride) }

func (p past) facts() Facts {
	name := func(i int8) string { return string('a' + rune(i)) }
	f := Facts{Time: instant(p.tick)}
	if p.lock.holder != nobody {
		f.Lock = Lock{Holder: name(p.lock.holder), Phase: p.lock.phase, Boot: name(p.lock.boot), Until: instant(p.lock.until), Ending: Ending{Code: p.lock.code}}
		if p.lock.phase == Draining && p.pod[p.lock.holder] {
			f.Stays = []string{"pod"}
		}
	}
	for i, n := range p.node {
		node := Node{Name: name(int8(i)), Role: "worker", Boot: name(n.boot), Ready: n.state != isDown, Cordoned: n.cordoned, Ours: n.ours, Granted: n.grantBoot != noGrant,
			Windowed: true, Open: p.tick < n.closes, Closes: instant(n.closes), RestsUntil: instant(n.restUntil), RestsFor: Ending{Code: n.restCode}}
		if n.due {
			node.Due = "an update"
		}
		f.Nodes = append(f.Nodes, node)
	}
	return f
}

// look is what a master sees now: the API cannot tell a machine that is going down
// from one that runs.
func (w world) look() past {
	p := past{tick: w.tick, lock: w.lock, node: w.node}
	for i := range p.node {
		n := &p.node[i]
		p.pod[i] = n.pod
		n.pod, n.begunBy = false, 0
		if n.state == goingDown {
			n.state = runs
		}
	}
	return p
}

// act does what a master decided on what it saw, if what it writes is still as it
// saw it.
func (w world) act(p past) world {
	d := Decide(p.facts())
	i := int8(0)
	if d.Node != "" {
		i = int8(d.Node[0] - 'a')
	}
	now := w.look()
	sameLock, sameNode := now.lock == p.lock, now.node[i] == p.node[i]
	n := &w.node[i]
	switch {
	case sameLock && d.Do == Take:
		w.lock = mlock{holder: i, phase: Draining, boot: p.node[i].boot, until: tickOf(d.Until)}
	case sameLock && d.Do == Grant:
		w.lock.phase, w.lock.until = Granted, tickOf(d.Until)
	case sameLock && d.Do == Undo:
		w.lock.phase, w.lock.code = Undoing, d.Ending.Code
	case sameLock && d.Do == Release:
		w.lock = mlock{holder: nobody}
	case d.Do == Drain:
		n.pod = false // whether a budget allows it is another's choice: see next
	case sameNode && d.Do == Cordon:
		n.cordoned, n.ours = true, true
	case sameNode && d.Do == Tell:
		n.grantBoot, n.grantUntil = p.lock.boot, p.lock.until
	case sameNode && d.Do == Restore:
		n.grantBoot, n.grantUntil = noGrant, 0
		if n.ours && n.state != isDown {
			n.ours, n.cordoned = false, false
		}
		if p.lock.holder == i && p.lock.code == 0 {
			n.restUntil, n.restCode = 0, 0
		}
		if p.lock.holder == i && p.lock.code != 0 {
			n.restUntil, n.restCode = p.tick+int8(rest/stride), p.lock.code
		}
	}
	return w
}

// next is everything that can happen now, up to a horizon in strides.
func (w world) next(horizon int8) (out []world) {
	if acted := w.act(w.look()); acted != w {
		out = append(out, acted)
	}
	slow := w
	if w.seen {
		slow = w.act(w.past)
		slow.seen, slow.past = false, past{}
	} else {
		slow.seen, slow.past = true, w.look()
	}
	out = append(out, slow)
	for i := range w.node {
		if n := w.node[i]; n.state == runs && !n.cordoned && !n.pod && w.tick < 9 { // the scheduler
			w := w
			w.node[i].pod = true
			out = append(out, w)
		}
		if w.begins(i) {
			w := w
			w.node[i].state, w.node[i].begunBy = goingDown, w.node[i].begunBy+1
			out = append(out, w)
		}
		if w.node[i].state == goingDown {
			w := w
			w.node[i].state = isDown
			out = append(out, w)
		}
		if w.node[i].state == isDown {
			out = append(out, w.booted(i))
		}
	}
	if w.tick < horizon {
		out = append(out, w.later())
	}
	return out
}

// begins tells whether a machine may reboot, as it sees it.
func (w world) begins(i int) bool {
	n := w.node[i]
	return n.state == runs && n.grantBoot == n.boot && w.tick < n.grantUntil
}

func (w world) booted(i int) world {
	n := &w.node[i]
	n.state, n.boot, n.due = runs, n.boot+1, false
	return w
}

// later is five minutes on: what was going down is down.
func (w world) later() world {
	w.tick++
	for i := range w.node {
		if w.node[i].state == goingDown {
			w.node[i].state = isDown
		}
	}
	return w
}

// wrong is what must never be so: a machine begins to reboot that has not the lease,
// runs pods, is not cordoned, or whose sibling is not there.
func (w world) wrong(before world) string {
	for i, n := range w.node {
		if n.begunBy == before.node[i].begunBy {
			continue
		}
		switch {
		case w.lock.holder != int8(i) || w.lock.phase != Granted:
			return "it reboots without the lease"
		case !n.cordoned:
			return "it reboots and is not cordoned"
		case n.pod:
			return "it reboots with a pod"
		case w.node[1-i].state != runs:
			return "both are down"
		case n.begunBy > 1:
			return "it reboots twice"
		}
	}
	return ""
}

// ends plays on, with machines that come back and a master that looks, and tells
// what is left. Those in known end well.
func (w world) ends(back bool, known map[world]bool) string {
	var way []world
	for range forLong {
		if known[w] {
			break
		}
		way = append(way, w)
		for acted := w.act(w.look()); acted != w; acted = w.act(w.look()) {
			w = acted
		}
		for i := range w.node {
			if w.node[i].state == isDown && back {
				w = w.booted(i)
			}
		}
		w = w.later()
	}
	if why := w.left(back); why != "" && !known[w] {
		return why
	}
	for _, w := range way {
		known[w] = true
	}
	return ""
}

// left is what is left in the end.
func (w world) left(back bool) string {
	if w.lock.holder != nobody {
		return "the lease is never released"
	}
	for _, n := range w.node {
		if back && (n.ours || n.grantBoot != noGrant || n.cordoned) {
			return "something is left on a node"
		}
	}
	return ""
}
