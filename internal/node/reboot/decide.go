package reboot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
)

const (
	// comeBack is what is left of a window at least when a node is let go.
	comeBack = 5 * time.Minute
	// grant is for how long a node may begin to reboot once it was let go: Fedora
	// CoreOS's agent asks every five minutes.
	grant = 10 * time.Minute
	// margin is how long after that nobody else may believe it has not begun: clocks
	// differ a little, and shutting down takes its time.
	margin = 5 * time.Minute
	// away is how long after the grant ended a node may need to be Ready again; others
	// wait for it until then.
	away = 20 * time.Minute
	// rest is for how long a node that gave up is left alone.
	rest = 30 * time.Minute
	// asked is the window of a node that an operator told to reboot now.
	asked = 30 * time.Minute
)

// Phase is how far the node has got that holds the lease.
type Phase string

// Phases, in their order.
const (
	Draining Phase = "draining"
	Granted  Phase = "granted"
	Undoing  Phase = "undoing"
)

// Lock is the one lease of the cluster: whose turn it is.
type Lock struct {
	Holder string // empty while it is nobody's turn
	Phase  Phase
	Boot   string    // of the holder, before it reboots
	Until  time.Time // when draining ends, or when the grant does
	Ending Ending    // why it is being undone
}

// Ending is how a turn ended: with a code of this step, or well.
type Ending struct {
	Code int // 0: the node is back, or no longer has to reboot
	Why  string
}

// Node is one node of the plan as the API knows it.
type Node struct {
	Name, Role string
	Boot       string // of the system that runs
	Ready      bool
	Due        string // why it has to reboot; empty when it has not to
	Now        bool   // an operator said so: its window does not matter
	Cordoned   bool   // nothing new is scheduled on it
	Ours       bool   // it was the guard that cordoned it
	Granted    bool   // it was told that it may reboot
	Windowed   bool   // it has a window
	Closes     time.Time
	Open       bool
	RestsUntil time.Time // it gave up
	RestsFor   Ending
}

// Facts are all that a decision rests on.
type Facts struct {
	Time  time.Time
	Lock  Lock
	Nodes []Node
	// Etcd is why etcd cannot spare the node in question, and Stays are the pods that
	// have to leave it and have not; see [Subject].
	Etcd  string
	Stays []string
}

// Action is what one look ends in.
type Action string

// Actions.
const (
	Wait    Action = "wait"
	Take    Action = "take"    // the lease, for the node
	Cordon  Action = "cordon"  // the node
	Drain   Action = "drain"   // ask for the pods that stay to leave
	Grant   Action = "grant"   // let the node go: write it into the lease
	Tell    Action = "tell"    // write it onto the node
	Undo    Action = "undo"    // end the turn: write it into the lease
	Restore Action = "restore" // uncordon the node and take its grant away
	Release Action = "release" // the lease
)

// Decision is what to do, about which node, and why.
type Decision struct {
	Do     Action
	Node   string
	Why    string
	Ending Ending    // of Undo
	Until  time.Time // of Take and Grant
}

// Subject is the node that the next decision is about, if any: the one whose turn it
// is, or the one that would be next.
func Subject(f Facts) (Node, bool) {
	if f.Lock.Holder != "" {
		return f.node(f.Lock.Holder)
	}
	return f.next()
}

func (f Facts) node(name string) (Node, bool) {
	i := slices.IndexFunc(f.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{}, false
	}
	return f.Nodes[i], true
}

// next is the node whose window closes first among those that may begin, and among
// those the cluster can spare, if there are any.
func (f Facts) next() (Node, bool) {
	var waiting []Node
	for _, n := range f.Nodes {
		if n.Due != "" && n.Ready && !f.Time.Before(n.RestsUntil) && f.Time.Before(f.deadline(n)) {
			waiting = append(waiting, n)
		}
	}
	if len(waiting) == 0 {
		return Node{}, false
	}
	return slices.MinFunc(waiting, func(a, b Node) int {
		return cmp.Or(strings.Compare(f.missed(a), f.missed(b)), f.deadline(a).Compare(f.deadline(b)), strings.Compare(a.Name, b.Name))
	}), true
}

// deadline is until when a node may be drained; the zero time where it may not at all.
func (f Facts) deadline(n Node) time.Time {
	switch {
	case n.Now:
		return f.Time.Add(asked)
	case n.Open:
		return n.Closes.Add(-comeBack)
	}
	return time.Time{}
}

// Decide is what a master does next. Several masters may decide at once: what is
// written into the lease is what counts, and only one of them can.
func Decide(f Facts) Decision {
	// A node that came back late, or whose turn ended while somebody was at it.
	for _, n := range f.Nodes {
		if n.Name != f.Lock.Holder && n.Ready && (n.Ours || n.Granted) {
			return Decision{Do: Restore, Node: n.Name, Why: "its turn is over"}
		}
	}
	n, known := Subject(f)
	switch {
	case f.Lock.Holder == "" && !known:
		return Decision{Do: Wait}
	case f.Lock.Holder == "":
		if why := f.unsafe(n); why != "" {
			return Decision{Do: Wait, Node: n.Name, Why: why}
		}
		return Decision{Do: Take, Node: n.Name, Why: n.Due, Until: f.deadline(n)}
	case f.Lock.Phase == Undoing:
		if known && n.unsettled(f.Lock.Ending) {
			return Decision{Do: Restore, Node: n.Name, Why: f.Lock.Ending.Why}
		}
		return Decision{Do: Release, Node: f.Lock.Holder, Why: f.Lock.Ending.Why}
	case !known:
		return undo(f.Lock.Holder, 0, "it is no node of the cluster any more")
	case f.Lock.Phase == Granted:
		return f.granted(n)
	}
	return f.draining(n)
}

func undo(name string, code int, format string, args ...any) Decision {
	why := fmt.Sprintf(format, args...)
	return Decision{Do: Undo, Node: name, Why: why, Ending: Ending{code, why}}
}

// unsettled tells whether something of a turn that ended is left on the node. One
// that is not Ready keeps its cordon until it is.
func (n Node) unsettled(e Ending) bool {
	switch {
	case n.Granted, n.Ours && n.Ready:
		return true
	case e.Code == 0:
		return false
	}
	return n.RestsFor != e
}

func (f Facts) draining(n Node) Decision {
	until := fmt.Sprintf("at %s", f.Lock.Until.UTC().Format("15:04 MST"))
	switch why := f.unsafe(n); {
	case n.Boot != f.Lock.Boot:
		return undo(n.Name, 0, "it has rebooted by itself")
	case n.Due == "":
		return undo(n.Name, 0, "it no longer has to reboot")
	case why != "":
		return undo(n.Name, bootcode.RebootUnsafe, "%s: %s", n.Name, why)
	case !f.Time.Before(f.Lock.Until) && len(f.Stays) > 0:
		return undo(n.Name, bootcode.DrainUnfinished, "%s, when draining had to end %s:\n%s", n.Name, until, strings.Join(f.Stays, "\n"))
	case !f.Time.Before(f.Lock.Until):
		return undo(n.Name, bootcode.DrainUnfinished, "%s was drained too late: its window closes soon after %s", n.Name, until)
	case !n.Cordoned:
		return Decision{Do: Cordon, Node: n.Name}
	case len(f.Stays) > 0:
		return Decision{Do: Drain, Node: n.Name, Why: strings.Join(f.Stays, "\n")}
	}
	return Decision{Do: Grant, Node: n.Name, Until: f.Time.Add(grant)}
}

func (f Facts) granted(n Node) Decision {
	back, late := n.Boot != f.Lock.Boot, !f.Time.Before(f.Lock.Until.Add(away))
	switch {
	case back && n.Ready:
		return undo(n.Name, 0, "it is back")
	case late && !n.Ready:
		return undo(n.Name, bootcode.RebootLost, "%s was let go until %s and is not Ready", n.Name, f.Lock.Until.UTC().Format("15:04 MST"))
	case back:
		return Decision{Do: Wait, Node: n.Name, Why: "it comes back"}
	case f.Time.Before(f.Lock.Until) && !n.Granted:
		return Decision{Do: Tell, Node: n.Name}
	case n.Ready && !f.Time.Before(f.Lock.Until.Add(margin)):
		return undo(n.Name, bootcode.RebootUnmade, "%s was let go until %s and still runs", n.Name, f.Lock.Until.UTC().Format("15:04 MST"))
	}
	return Decision{Do: Wait, Node: n.Name, Why: "it reboots"}
}

// unsafe is why the cluster cannot spare a node now.
func (f Facts) unsafe(n Node) string { return cmp.Or(f.Etcd, f.missed(n)) }

// missed is who would be missed in the node's role if it went too: on masters
// anybody, elsewhere half of the role stays. A role's only node can always go: there
// is nothing to wait for.
func (f Facts) missed(n Node) string {
	size, ready := 0, 0
	var down []string
	for _, other := range f.Nodes {
		if other.Role != n.Role {
			continue
		}
		size++
		switch {
		case other.Name == n.Name:
		case other.Ready:
			ready++
		default:
			down = append(down, other.Name)
		}
	}
	if n.Role == "master" && len(down) > 0 || size > 1 && 2*ready < size {
		slices.Sort(down)
		return "not Ready: " + strings.Join(down, ", ")
	}
	return ""
}
