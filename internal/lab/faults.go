package lab

import (
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/spec"
)

// Fault is one row of the table of faults: what goes wrong, and how it is undone.
type Fault struct {
	Class string // of which a short table has one row per topology, such as "kill a static pod"
	Name  string // unique in its topology, such as "kill -9 etcd on master-1"
	Short bool   // part of the short table
	// Serves tells that the cluster is to go on serving all the while: its longest
	// interruptions then stand beside the aim.
	Serves bool
	// Fresh asks for a cluster of its own, which it may leave broken.
	Fresh bool
	// Bucket asks for a cluster whose snapshots go into a bucket too. Such a row is Fresh.
	Bucket bool
	// Within bounds Do where that needs longer than most; 0: boundFault.
	Within time.Duration
	// Unable says why the row cannot be shown here; "" when it can. Nil: it can. It is
	// asked before anything is booted, of a trial that has a plan and no nodes.
	Unable func(*Trial) string
	// Do makes it happen and, where it does not heal by itself, undoes it. It returns
	// evidence in one line. The ledger's clients work all along; see bout for what Do
	// tells the frame. When it returns, the frame waits until the cluster is whole.
	Do func(ctx context.Context, b *bout) (evidence string, err error)
}

// faultRows are all rows of a cluster, in the order in which they happen. A row's
// name is what a report is continued by.
func faultRows(p *plan.Plan) []Fault {
	return slices.Concat(
		podRows(p),
		unitRows(p),
		linkRows(p),
		partitionRows(p),
		lossRows(p),
		delayRows(p),
		nodeRows(p),
		powerRows(p),
		stateRows(p),
	)
}

// FaultOptions choose rows.
type FaultOptions struct {
	Full     bool     // all rows, not one per class
	Patterns []string // instead: rows whose name or class matches one of these globs
}

// wants tells whether a row is chosen.
func (o FaultOptions) wants(f Fault) bool {
	if len(o.Patterns) == 0 {
		return o.Full || f.Short
	}
	return slices.ContainsFunc(o.Patterns, func(pattern string) bool { return matches(pattern, f) })
}

func matches(pattern string, f Fault) bool {
	byName, err := path.Match(pattern, f.Name)
	if err != nil {
		return false // Check said so
	}
	byClass, _ := path.Match(pattern, f.Class)
	return byName || byClass
}

// Check refuses patterns that are malformed, or match no row of the topologies.
func (o FaultOptions) Check(topologies []Topology) error {
	for _, t := range topologies {
		if !t.faulty() {
			return fmt.Errorf("faults are shown on %v, not on %s", faultTopologies(), t.Name)
		}
	}
	for _, pattern := range o.Patterns {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("--fault %q: %w", pattern, err)
		}
		found := false
		for _, t := range topologies {
			rows, err := t.Faults()
			if err != nil {
				return err
			}
			found = found || slices.ContainsFunc(rows, func(f Fault) bool { return matches(pattern, f) })
		}
		if !found {
			return fmt.Errorf("--fault %q matches no row: see imgforge test --list --faults", pattern)
		}
	}
	return nil
}

// faultTopologies names those that faults are shown on.
func faultTopologies() (names []string) {
	for _, t := range FaultTopologies() {
		names = append(names, t.Name)
	}
	return names
}

// FaultTopologies lists the topologies that faults are shown on.
func FaultTopologies() (list []Topology) {
	for _, t := range Topologies() {
		if t.faulty() {
			list = append(list, t)
		}
	}
	return list
}

// faulty tells whether a topology has rows in the table.
func (t Topology) faulty() bool { return t.Payload != nil || t.Row != nil }

// Faults lists the rows of a topology, from its cluster file alone.
func (t Topology) Faults() ([]Fault, error) {
	if t.Row != nil {
		return []Fault{*t.Row}, nil
	}
	c, _, problems := spec.Parse(t.Name+".yaml", []byte(t.Cluster))
	if problems.Errors() > 0 {
		return nil, fmt.Errorf("topology %s: %v", t.Name, problems.Problems)
	}
	p, problems := plan.New(c, plan.Facts{})
	if problems.Errors() > 0 {
		return nil, fmt.Errorf("topology %s: %v", t.Name, problems.Problems)
	}
	return faultRows(p), nil
}
