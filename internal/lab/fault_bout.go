package lab

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// bout is one fault while it is shown: the cluster that it happens to, and what its
// Do tells the frame.
type bout struct {
	*ring
	row *FaultRow

	mu            sync.Mutex
	begun, healed time.Time
	watch         *addressWatch
}

// ring is a booted cluster on which one fault after the other is shown.
type ring struct {
	*Trial
	o      *operator
	ledger *ledger
	// cluster is etcd's id of it.
	cluster uint64
	spare   map[*Node]bool // see Spare
	last    string         // what a cluster that became whole lacked last
}

// Begun says that the fault begins now. Without it, it began when Do was called.
func (b *bout) Begun() {
	b.mu.Lock()
	b.begun = time.Now()
	b.mu.Unlock()
	b.ledger.mark("the fault begins: " + b.row.Name)
}

// Healed says that the fault was undone now; the way back counts from here. Without
// it, the cluster heals by itself and the way back counts from the begin.
func (b *bout) Healed() {
	b.mu.Lock()
	b.healed = time.Now()
	b.mu.Unlock()
}

// since is how long ago the fault began.
func (b *bout) since() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.begun)
}

// Measure notes a time of the row beside its aim in seconds; none when that is 0.
func (b *bout) Measure(what string, d time.Duration, aim float64) {
	b.mu.Lock()
	b.row.Measures = append(b.row.Measures, Measure{What: what, Seconds: d.Seconds(), Aim: aim})
	b.mu.Unlock()
	b.logf("%6.1f s  %s", d.Seconds(), what)
}

// Wait waits until something holds, within a bound, and returns how long after the
// begin of the fault that was.
func (b *bout) Wait(ctx context.Context, what string, bound time.Duration, check func(context.Context) error) (time.Duration, error) {
	b.live("waiting: " + what)
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	err := Await(ctx, what, check)
	return b.since(), err
}

// Aside keeps the ledger's clients off nodes that the fault takes from under them: an
// interruption is to be the cluster's, not that of a client which lost its own machine.
func (b *bout) Aside(nodes ...*Node) { b.ledger.aside(nodes) }

// Spare says that a node which was made need not be one of a whole cluster: a twin,
// a stranger, one that was replaced. It stays so for the life of this cluster.
func (b *bout) Spare(n *Node) { b.spare[n] = true }

// RestoredFrom says that etcd was founded again from what a snapshot had at a time:
// its cluster is another, and of the writes those that were acknowledged before count.
func (b *bout) RestoredFrom(at time.Time) {
	b.cluster = 0
	b.ledger.restored(at)
}

// Serves waits until clients read and write through the endpoint again.
func (b *bout) Serves(ctx context.Context, bound time.Duration) error {
	from := time.Now()
	_, err := b.Wait(ctx, "the cluster serves", bound, func(context.Context) error { return b.ledger.succeededSince(from) })
	return err
}

// Named is a node by its name.
func (r *ring) Named(name string) (*Node, error) {
	i := slices.IndexFunc(r.nodes, func(n *Node) bool { return n.Name == name && !r.spare[n] })
	if i < 0 {
		return nil, fmt.Errorf("nobody made a node %s", name)
	}
	return r.nodes[i], nil
}

// members are the nodes that a whole cluster has.
func (r *ring) members() (nodes []*Node) {
	for _, n := range r.nodes {
		if !r.spare[n] {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// mastersOf are those of members that run the control plane.
func (r *ring) mastersOf() (nodes []*Node) {
	for _, n := range r.members() {
		if made, ok := r.Plan.Node(n.Name); ok && made.Role == plan.Master {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// notReserved are the nodes of a plan that exist, of a role or of all ("").
func notReserved(p *plan.Plan, role string) (nodes []plan.Node) {
	for _, n := range p.Nodes {
		if !n.Reserved && (role == "" || n.Role == role) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}
