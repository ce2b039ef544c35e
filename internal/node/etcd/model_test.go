package etcd

import (
	"fmt"
)

// The model: three founding masters, their disks, their helpers and their etcds,
// with every order of what they do and of what befalls them. The decisions are the
// real ones. Of etcd it keeps what membership rests on: who has which part of which
// history, who is in which configuration, and that a majority elects whoever has
// seen the most. It is cruder than etcd only on the dangerous side: answers are
// gathered one by one and may be arbitrarily old when they are acted upon.

const (
	masters  = 3
	versions = 16 // of a configuration: those that somebody still refers to, and a few new ones
)

// What the kubelet has.
const (
	placedNothing uint8 = iota
	placedFounder
	placedLearner
	placedSettled
)

// place of a member in a configuration: its id, and two flags.
type place uint8

const (
	isLearner place = 1 << 6
	isStarted place = 1 << 7
)

func (p place) id() uint8 { return uint8(p) & 63 }

type configuration [masters]place // by slot: etcd allows one member per address

func (c configuration) voters() (n int) {
	for _, p := range c {
		if p != 0 && p&isLearner == 0 {
			n++
		}
	}
	return n
}

// machine is one master.
type machine struct {
	up   bool
	held Held
	// The data: whose it is, in which history, up to which version of it. History 0
	// is a founder's log in which nothing has happened.
	id, history, version uint8
	past                 Past
	added                uint8
	placed, placedFor    uint8 // placedFor: the version whose members the manifest lists
	lingers              uint8 // the manifest that was taken away while its etcd runs on
	kin
	answers [masters]State
	asked   [masters]bool
	view    uint8 // 1 + version of the list it was shown, 0 for none
}

// world is one state of the model.
type world struct {
	m         [masters]machine
	apart     uint8 // 0: all see each other; i: slot i-1 is cut off; 4: all are
	history   uint8 // how often a first leader was elected
	committed uint8
	next      uint8 // member id
	configs   [versions]configuration
	faults    uint8 // left
	founded   bool
	old       bool // etcd 3.6 rather than 3.7
	restore   bool // payloads name a snapshot
}

// flaw is a state that must not be.
type flaw string

func (w *world) sees(a, b int) bool {
	cut := func(i int) bool { return w.apart == 4 || int(w.apart) == i+1 }
	return w.m[a].up && w.m[b].up && (a == b || !cut(a) && !cut(b))
}

func (w *world) runs(i int) bool {
	return w.m[i].up && w.m[i].held == Data && w.m[i].etcd() != placedNothing
}

// etcd is the manifest that etcd runs by: a kubelet that has reached no API server
// ends none.
func (m *machine) etcd() uint8 { return max(m.placed, m.lingers) }

// knows is the configuration that a machine's data holds.
func (w *world) knows(i int) configuration {
	if w.m[i].history == 0 {
		return configuration{1, 2, 3}
	}
	return w.configs[w.m[i].version]
}

// leads tells whether i can be elected by those it sees, and brings them up to date.
func (w *world) leads(i int) bool {
	me := w.m[i]
	c := w.knows(i)
	if !w.runs(i) || c[i].id() != me.id || c[i]&isLearner != 0 {
		return false
	}
	votes := 0
	for j := range masters {
		o := w.m[j]
		if w.runs(j) && w.sees(i, j) && c[j] != 0 && c[j].id() == o.id && c[j]&isLearner == 0 && o.line == me.line &&
			(o.history == 0 || o.history == me.history && o.version <= me.version) {
			votes++
		}
	}
	return votes > c.voters()/2
}

// elect finds a leader among those whom i sees, lets a first one begin a history,
// and brings everybody it reaches up to date.
func (w *world) elect(i int) (leader int, ok bool) {
	leader = -1
	for j := range masters {
		if w.sees(i, j) && w.leads(j) && (leader < 0 || w.m[j].history > w.m[leader].history || w.m[j].history == w.m[leader].history && w.m[j].version > w.m[leader].version) {
			leader = j
		}
	}
	if leader < 0 {
		return 0, false
	}
	l := &w.m[leader]
	if l.history == 0 {
		for j := range masters {
			if w.m[j].held == Data && w.m[j].history != 0 {
				panic(flaw(fmt.Sprintf("a second cluster begins at %d while %d has data of the first", leader+1, j+1)))
			}
		}
		w.alone(leader)
		if w.founded && l.line == 0 {
			panic(flaw("a payload that says founded made a cluster"))
		}
		w.history++
		w.forgetViews()
		w.committed, l.history, l.version = 0, w.history, 0
		w.configs = [versions]configuration{{1, 2, 3}}
	}
	if l.version < w.committed {
		panic(flaw(fmt.Sprintf("%d leads without what was acknowledged", leader+1)))
	}
	w.spread(leader)
	return leader, true
}

// spread brings everybody whom the leader reaches up to date.
func (w *world) spread(leader int) {
	c := &w.configs[w.committed]
	for j := range masters {
		if w.runs(j) && w.sees(leader, j) && c[j] != 0 && c[j].id() == w.m[j].id && w.m[j].line == w.m[leader].line {
			w.m[j].history, w.m[j].version = w.history, w.committed
			c[j] |= isStarted
		}
	}
}

// change commits a configuration and checks that who made it can still be elected.
func (w *world) change(leader int, edit func(c *configuration)) {
	c := w.configs[w.committed]
	edit(&c)
	w.committed++
	w.configs[w.committed] = c
	w.m[leader].version = w.committed
	w.spread(leader)
	for j := range masters {
		if w.sees(leader, j) && w.leads(j) {
			return
		}
	}
	panic(flaw("a change of membership lost the quorum"))
}

func modelSlot(i int) Slot {
	return Slot{Name: [...]string{"m1", "m2", "m3"}[i], URL: [...]string{"u1", "u2", "u3"}[i], Founder: true}
}

func (w *world) entries(version uint8) (out []Entry) {
	for i, p := range w.configs[version] {
		if p == 0 {
			continue
		}
		e := Entry{ID: ID(p.id()), URLs: []string{modelSlot(i).URL}, Learner: p&isLearner != 0, Started: p&isStarted != 0}
		if e.Started || !e.Learner {
			e.Name = modelSlot(i).Name
		}
		out = append(out, e)
	}
	return out
}

// says is what a machine answers when asked now.
func (w *world) says(i int) State {
	m := &w.m[i]
	p := presence{past: m.recalls(m.own()), serving: w.runs(i), waits: w.restore && m.candidate == 0}
	p.disk.Held = m.held
	return p.state()
}

// ask gathers one answer, and the member list when a quorum stands behind it.
func (w *world) ask(i, j int) {
	m := &w.m[i]
	m.asked[j], m.answers[j] = true, Silent
	if !w.sees(i, j) {
		return
	}
	m.answers[j], m.lines[j] = w.says(j), w.m[j].own()
	m.offers[j] = w.m[j].held == Nothing && w.m[j].candidate > 0
	w.list(i, j)
}

// list shows i the member list that j confirms with a quorum.
func (w *world) list(i, j int) {
	if !w.runs(j) {
		return
	}
	if leader, ok := w.elect(j); ok {
		if p := w.configs[w.committed][j]; p.id() == w.m[j].id && p&isLearner == 0 && w.sees(j, leader) {
			w.m[i].view, w.m[i].viewed = w.committed+1, w.m[j].line
		}
	}
}

const modelCluster = ID(77)

func (w *world) observation(i int) Observation {
	m := &w.m[i]
	line, strange := m.about()
	o := Observation{Self: modelSlot(i), Founding: modelCluster + ID(line), Founded: w.founded, Past: m.recalls(line), Added: ID(m.added), Serving: w.runs(i),
		Restore: w.restore, Voters: w.counted(i), Restored: line > 0 && m.candidate == line, Stuck: true, Strange: strange}
	if m.abandons {
		o.Abandon = modelCluster
	}
	if m.held == Data {
		o.Disk = Disk{Held: Data, Member: ID(m.id), Cluster: modelCluster + ID(m.line)}
	} else {
		o.Disk.Held = m.held
	}
	for j := range masters {
		if j == i {
			continue
		}
		p := Peer{Slot: modelSlot(j), State: m.answers[j], Founding: modelCluster + ID(m.lines[j]), Candidate: m.offers[j]}
		if p.holds() {
			p.Cluster = p.Founding
		}
		o.Others = append(o.Others, p)
	}
	if m.view > 0 && m.viewed == line {
		o.View = View{Known: true, Quorum: true, Entries: w.entries(m.view - 1), Minor: 7}
		if w.old {
			o.View.Minor = 6
		}
	}
	switch m.placed {
	case placedLearner:
		listed := o
		listed.View.Entries = w.entries(m.placedFor)
		o.Placed = listed.initialCluster()
	case placedFounder, placedSettled:
		o.Placed = "placed"
	}
	return o
}

// mind is how the masters of a model decide. It keeps decisions: the same few
// observations come back all the time.
type mind struct {
	decide func(o Observation) Decision
	known  map[observed]Decision
}

// observed is what an observation of the model is made of.
type observed struct {
	slot         int
	machine      machine
	list, listed configuration
	founded, old bool
	restore      bool
}

func (w *world) decide(i int, by mind) Decision {
	m := w.m[i]
	key := observed{slot: i, machine: m, founded: w.founded, old: w.old, restore: w.restore}
	key.machine.view, key.machine.placedFor, key.machine.version = min(m.view, 1), 0, 0
	if m.view > 0 {
		key.list = w.configs[m.view-1]
	}
	if m.placed == placedLearner {
		key.listed = w.configs[m.placedFor]
	}
	d, ok := by.known[key]
	if !ok {
		d = by.decide(w.observation(i))
		by.known[key] = d
	}
	return d
}

// act decides upon what was gathered and does it; dies means that the helper is
// killed as soon as the world has changed, before it notes what it did.
func (w *world) act(i int, dies bool, by mind) Decision {
	m := &w.m[i]
	if m.lingers != placedNothing { // as [node.end]
		m.lingers = placedNothing
		m.clear()
		return Decision{}
	}
	w.list(i, i)
	line, _ := m.about()
	if m.held != Nothing {
		m.remembers(line)
	}
	d := w.decide(i, by)
	shown := m.view
	m.clear()
	switch d.Action {
	case Agree, GiveUp, Stop, RemoveStale, AddLearner, Promote:
		m.pastLine = line // what is noted is of that cluster
	}
	switch d.Action {
	case Agree:
		m.past = Agreed
	case Found:
		if m.placed = placedFounder; line > 0 {
			m.placed, m.held, m.id, m.history, m.version, m.line = placedNothing, Data, uint8(i+1), 0, 0, line
		}
	case Fetch:
		w.fetch(i)
	case GiveUp:
		w.lives(i)
		m.lingers = m.placed
		m.placed, m.past, m.added = placedNothing, GivenUp, 0
	case Start:
		m.placed = placedSettled
	case StartAsLearner:
		m.placed, m.placedFor = placedLearner, shown-1
	case SetAside:
		m.held, m.id, m.history, m.version, m.line = Nothing, 0, 0, 0, 0
	case Stop:
		m.lingers = m.placed
		m.placed, m.past, m.added = placedNothing, Member, 0
	case RemoveStale, AddLearner, Promote:
		if d.Action != Promote {
			m.past, m.added = Member, 0
		}
		w.reconfigure(i, d, dies)
	}
	return d
}

// reconfigure changes the membership through whichever member will.
func (w *world) reconfigure(i int, d Decision, dies bool) {
	leader, ok := -1, false
	for j := range masters {
		if w.sees(i, j) && w.runs(j) {
			if leader, ok = w.elect(j); ok {
				break
			}
		}
	}
	if !ok {
		return
	}
	c := w.configs[w.committed]
	switch d.Action {
	case RemoveStale:
		for j, p := range c {
			if p == 0 || ID(p.id()) != d.Member {
				continue
			}
			if j != i {
				panic(flaw("a member of somebody else is removed"))
			}
			w.change(leader, func(c *configuration) { c[i] = 0 })
		}
	case AddLearner:
		for j, p := range c {
			unseen := p != 0 && p&isLearner == 0 && !(w.runs(j) && w.sees(leader, j) && w.m[j].id == p.id())
			if p&isLearner != 0 || j == i && p != 0 || w.old && unseen {
				return // etcd refuses
			}
		}
		id := w.next
		w.next++
		w.change(leader, func(c *configuration) { c[i] = place(id) | isLearner })
		if !dies {
			w.m[i].past, w.m[i].added = Joining, id
		}
	case Promote:
		if p := c[i]; ID(p.id()) == d.Member && p&isLearner != 0 && w.m[i].version == w.committed {
			w.change(leader, func(c *configuration) { c[i] &^= isLearner })
		}
	}
}

// kubelet lets etcd make its first data, as etcd does or refuses to.
func (w *world) kubelet(i int) bool {
	m := &w.m[i]
	if !m.up || m.held != Nothing || m.etcd() == placedNothing {
		return false
	}
	switch m.etcd() {
	case placedFounder:
		for j := range masters {
			if j != i && w.sees(i, j) && w.runs(j) {
				if c := w.knows(j); c[i].id() == uint8(i+1) && c[i]&isStarted != 0 {
					return false // "has already been bootstrapped"
				}
			}
		}
		m.held, m.id, m.history, m.version, m.line = Data, uint8(i+1), 0, 0, 0
		return true
	case placedLearner:
		for j := range masters {
			if j == i || !w.sees(i, j) || !w.runs(j) || w.m[j].history == 0 {
				continue
			}
			c := w.knows(j)
			for k, p := range w.configs[m.placedFor] {
				if p.id() != c[k].id() {
					return false // the members are not those it was told
				}
			}
			m.held, m.id, m.history, m.version, m.line = Data, c[i].id(), w.m[j].history, 0, w.m[j].line
			return true
		}
	}
	return false // settled: there is nobody to join
}

// reboot ends everything on a machine; what stays is on its disks.
func (w *world) reboot(i int) {
	m := &w.m[i]
	m.clear()
	m.up, m.lingers = false, placedNothing
}

// boot runs the guard, then the kubelet and the helper.
func (w *world) boot(i int) {
	m := &w.m[i]
	m.up = true
	switch {
	case m.placed == placedNothing:
	case m.held == Data && (m.recalls(m.line) == GivenUp || m.abandons && m.line == 0):
		m.placed, m.placedFor = placedNothing, 0
	case m.held == Data:
		m.placed, m.placedFor, m.past, m.added, m.pastLine = placedSettled, 0, Member, 0, m.line
	default:
		m.placed, m.placedFor = placedNothing, 0
	}
}

// loseData empties the data folder, and with it the mark that lies there.
func (w *world) loseData(i int) {
	m := &w.m[i]
	m.held, m.id, m.history, m.version, m.added, m.line = Nothing, 0, 0, 0, 0, 0
	if m.past != Never {
		m.past = Member
	}
}

// damage leaves data that nobody can read.
func (w *world) damage(i int) {
	m := &w.m[i]
	m.held, m.id, m.history, m.version, m.line = Damaged, 0, 0, 0, 0
}

// wipe puts a new machine in the place of one.
func (w *world) wipe(i int) {
	k := kin{source: w.m[i].source, abandons: w.m[i].abandons} // as its payload says
	w.m[i] = machine{kin: k}
}
