package lab

import (
	"fmt"
	"time"
)

// Report is what `imgforge test` leaves: everything that was seen, where, and of what.
type Report struct {
	// Commit is the source tree's, with + when files differ from it.
	Commit     string     `json:"commit"`
	Started    time.Time  `json:"started"`
	Seconds    float64    `json:"seconds"`
	Host       Host       `json:"host"`
	Programs   []Program  `json:"programs"`
	Topologies []*Outcome `json:"topologies"`
	// Overrides are what the lab adds to nodes of the kinds that ran, beside the payload's.
	Overrides       []Override `json:"overrides"`
	added           []Override // to a container
	addedToMachines []Override
	// NotProven is what these kinds of node cannot show.
	NotProven []string `json:"notProven"`
}

// Host is the machine that ran the lab.
type Host struct {
	Cores     int    `json:"cores"`
	MemoryMiB int    `json:"memoryMiB"`
	Kernel    string `json:"kernel"`
	Cgroups   string `json:"cgroups"` // v1 or v2
	System    string `json:"system"`
}

// Program is a program that took part, with its version.
type Program struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	From    string `json:"from"` // its module, or Debian
}

// Override is a file that the lab adds to a node.
type Override struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// Outcome is what one topology showed.
type Outcome struct {
	Topology string    `json:"topology"`
	About    string    `json:"about"`
	Kind     string    `json:"kind"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"`
	// Cluster is the cluster file.
	Cluster string   `json:"cluster"`
	Nodes   []string `json:"nodes"`
	Steps   []Step   `json:"steps"`
	// Words are the nodes' own: the last that each step of a boot said.
	Words  []Word   `json:"words,omitempty"`
	Checks []Result `json:"checks"`
	// Faults are rows of the table of faults.
	Faults []*FaultRow `json:"faults,omitempty"`
	// Peer is what kubeadm took beside imgforge in the same run.
	Peer *Peer `json:"peer,omitempty"`
	// Error is what ended the trial early.
	Error string `json:"error,omitempty"`
}

// Step is something that a node reached.
type Step struct {
	Phase   string  `json:"phase"`
	Node    string  `json:"node,omitempty"` // "" is the cluster
	What    string  `json:"what"`
	Seconds float64 `json:"seconds"` // from power-on
}

// Word is the last word of a step on a node.
type Word struct {
	Phase   string  `json:"phase"`
	Node    string  `json:"node"`
	Step    string  `json:"step"`
	State   string  `json:"state"`
	Code    int     `json:"code,omitempty"`
	Text    string  `json:"text"`
	Seconds float64 `json:"seconds"` // from power-on
}

// Result is one check.
type Result struct {
	Phase    string  `json:"phase"`
	Name     string  `json:"name"`
	Passed   bool    `json:"passed"`
	Evidence string  `json:"evidence"`
	Seconds  float64 `json:"seconds"` // that it took
}

// Passed tells whether everything held.
func (r *Report) Passed() bool {
	for _, o := range r.Topologies {
		if o.Error != "" || o.failed() != nil || o.failedRows() != nil {
			return false
		}
	}
	return true
}

// Summary says in a few lines what held.
func (r *Report) Summary() (lines []string) {
	for _, o := range r.Topologies {
		held := 0
		for _, c := range o.Checks {
			if c.Passed {
				held++
			}
		}
		line := fmt.Sprintf("%s: %d of %d checks hold, %s", o.Topology, held, len(o.Checks), minutes(o.Seconds))
		if o.Error != "" {
			line += ", and it ended early"
		}
		lines = append(append(lines, line), o.Peer.lines()...)
		for _, s := range o.Steps {
			if s.Node == "" {
				lines = append(lines, fmt.Sprintf("  %6.1f s  %s: %s", s.Seconds, s.Phase, s.What))
			}
		}
	}
	return lines
}
