package lab

import (
	"slices"
	"time"
)

// FaultRow is what one fault showed.
type FaultRow struct {
	Class string `json:"class"`
	Name  string `json:"name"`
	Short bool   `json:"short"`
	// Commit is the source tree's, with + when files differ from it.
	Commit  string    `json:"commit"`
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"` // the row took, from its begin to its last check
	// Unable is why it was not done.
	Unable string `json:"unable,omitempty"`
	Passed bool   `json:"passed"`
	// Error is what did not hold.
	Error    string `json:"error,omitempty"`
	Evidence string `json:"evidence,omitempty"`
	// Last is what was missing last before the cluster was whole again.
	Last string `json:"last,omitempty"`
	// Acknowledged counts the writes that the API had acknowledged in this cluster's
	// life when the row ended, of which During were while it lasted. Lost are those of
	// them that a master's etcd or the API did not have, or not as they were written.
	Acknowledged int `json:"acknowledged"`
	During       int `json:"during"`
	Lost         int `json:"lost"`
	// Interruptions are the longest times between two successes of a client.
	Interruptions []Measure `json:"interruptions,omitempty"`
	// Measures are other times of the row, from its begin.
	Measures []Measure `json:"measures,omitempty"`
}

// Measure is a time beside its aim.
type Measure struct {
	What    string  `json:"what"`
	Seconds float64 `json:"seconds"`
	Aim     float64 `json:"aim,omitempty"` // 0: there is none
}

// missed tells whether an aim was missed. It fails nothing: a reader judges it.
func (m Measure) missed() bool { return m.Aim > 0 && m.Seconds > m.Aim }

// Aims of the table, in seconds.
const (
	aimMove   = 3  // an address elsewhere, after its holder was killed
	aimAnswer = 5  // the API answers again, after the loss of any master
	aimVoter  = 30 // a wiped master votes again, in a container
)

// What the clients of the ledger measure.
const (
	readsThrough  = "reads through the endpoint"
	writesThrough = "writes through the endpoint"
	writesOutside = "the operator's writes"
	wayBack       = "whole again"
)

// measured is a row's measure by its name.
func (r *FaultRow) measured(what string) (Measure, bool) {
	all := slices.Concat(r.Interruptions, r.Measures)
	i := slices.IndexFunc(all, func(m Measure) bool { return m.What == what })
	if i < 0 {
		return Measure{}, false
	}
	return all[i], true
}

// row is where an outcome has a row, by its name.
func (o *Outcome) row(name string) *FaultRow {
	i := slices.IndexFunc(o.Faults, func(r *FaultRow) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return o.Faults[i]
}

// keep puts a row into its place among the others, which is the topology's order.
func (o *Outcome) keep(row *FaultRow, order []Fault) {
	o.Faults = slices.DeleteFunc(o.Faults, func(r *FaultRow) bool { return r.Name == row.Name })
	o.Faults = append(o.Faults, row)
	at := func(r *FaultRow) int {
		return slices.IndexFunc(order, func(f Fault) bool { return f.Name == r.Name })
	}
	slices.SortStableFunc(o.Faults, func(a, b *FaultRow) int { return at(a) - at(b) })
}

// Resume takes over what an earlier report of the same clean commit holds of the
// table of faults: rows that are there are not shown again. Rows of files that no
// commit has say nothing of this one; those of another clean commit are taken over
// when anyCommit says so, and the report names it beside each.
func (r *Report) Resume(earlier *Report, anyCommit bool) {
	if earlier.Commit != r.Commit && !anyCommit || !clean(earlier.Commit) || !clean(r.Commit) || earlier.Host != r.Host {
		return
	}
	r.Seconds = earlier.Seconds
	for _, o := range earlier.Topologies {
		if len(o.Faults) > 0 {
			o.Error = ""
			r.Topologies = append(r.Topologies, o)
		}
	}
}

// clean tells whether a commit names all that was tried.
func clean(commit string) bool {
	return commit != "" && commit != "unknown" && commit[len(commit)-1] != '+'
}

// OutcomeOf is a topology's part of a report; it is made when it is not there.
func (r *Report) OutcomeOf(t Topology) *Outcome {
	i := slices.IndexFunc(r.Topologies, func(o *Outcome) bool { return o.Topology == t.Name })
	if i >= 0 {
		return r.Topologies[i]
	}
	o := &Outcome{Topology: t.Name, About: t.About, Kind: t.Kind, Cluster: t.Cluster, Started: time.Now().UTC()}
	r.Topologies = append(r.Topologies, o)
	return o
}
