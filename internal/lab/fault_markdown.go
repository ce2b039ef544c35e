package lab

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// FaultsMarkdown writes the table of faults for people.
func (r *Report) FaultsMarkdown(w io.Writer) error {
	m := &markdown{}
	m.linef("# What faults showed\n\nWritten by `imgforge test --faults` from commit %s, on %d cores with %d MiB, %s, Linux %s, cgroup %s. It took %s.\n",
		r.Commit, r.Host.Cores, r.Host.MemoryMiB, r.Host.System, r.Host.Kernel, r.Host.Cgroups, minutes(r.Seconds))
	m.linef("%s\n", faultsExplained)
	for _, o := range r.Topologies {
		m.faults(o, r.Commit)
	}
	m.linef("## What this cannot show\n")
	for _, line := range faultsNotProven() {
		m.linef("- %s", line)
	}
	_, err := io.WriteString(w, m.String())
	return err
}

// faultsNotProven is what the table's kind of node cannot show.
func faultsNotProven() []string {
	return []string{
		"A power cut ends all processes of a container and its network at once. What they had written stays in the page cache of this machine's kernel, which lives on: what a disk loses that was written and not synced is not shown.",
		"Containers share this machine's kernel, its clock and its cores: times are of a machine on which the whole cluster and what watches it ran at once.",
		"No provider took part: where an address has to be moved at a provider, the time of that call comes on top. The operator's machine is the proxies' neighbour here and not behind a router: when the public address moves, it keeps the old machine's hardware address for up to 45 s, which is the kernel's time for neighbours and stands in the operator's column.",
	}
}

// faultsExplained says how the table is read.
const faultsExplained = `Each row happens to a running cluster, and nobody helps it: the lab spoils, cuts and gives power, and watches. All along a client on a
node writes numbered ConfigMaps through the endpoint, another reads the one that was acknowledged last, and the operator writes by the way of ` + "`imgforge kubeconfig`" + `;
each asks anew after a second without an answer (five where the way is delayed). A write is acknowledged when the API answered 201 with the object and its resource version, or when, after a
repetition that met 409, a read of etcd's own showed the object. After each row every write that was ever acknowledged in the cluster's life is read from the etcd of every
master, as it has it and as the cluster agrees, and through the API, value and revision; lost counts those that were not there. Every master's etcd must name the same
cluster, the same members and no other. Then everything is whole again: every node and what it runs, asked directly, and the API's word about all nodes.

An interruption is the longest time between two successes of a client; one without a fault is 0.3 s. Times count from the fault's begin, the way back from when it was undone, where it does not heal by
itself. A time that misses its aim is bold. ` + "`s`" + ` marks rows of the short table (` + "`make lab-faults`" + `); the others are of the whole matrix (` + "`make lab-faults-full`" + `).
`

// faults is one topology's table.
func (m *markdown) faults(o *Outcome, commit string) {
	if len(o.Faults) == 0 && o.Peer == nil {
		return
	}
	m.linef("## %s\n\n%s.\n", o.Topology, o.About)
	if o.Error != "" {
		m.linef("**It ended early**: %s\n", cell(o.Error))
	}
	if len(o.Faults) > 0 {
		m.tally(o)
		m.linef("| fault | | holds | reads stop | writes stop | operator's writes stop | whole again | writes | lost | other times | evidence |\n|---|---|---|---|---|---|---|---|---|---|---|")
	}
	class := ""
	for _, f := range o.Faults {
		if f.Unable != "" {
			continue
		}
		if f.Class != class {
			class = f.Class
			m.linef("| **%s** | | | | | | | | | | |", cell(class))
		}
		m.fault(f, commit)
	}
	m.unable(o)
	m.checks(o)
	m.peer(o.Peer)
}

// tally says in words what a reader looks for first.
func (m *markdown) tally(o *Outcome) {
	shown, held, lost, during := 0, 0, 0, 0
	for _, f := range o.Faults {
		if f.Unable != "" {
			continue
		}
		shown++
		lost, during = lost+f.Lost, during+f.During
		if f.Passed {
			held++
		}
	}
	m.linef("%s, %d hold; %d writes were acknowledged while they lasted, and **%d** lost.\n", counted(shown, "row"), held, during, lost)
}

// fault is one row, which names its commit when that is not the report's.
func (m *markdown) fault(f *FaultRow, commit string) {
	times := func(what string) string {
		measure, ok := f.measured(what)
		if !ok {
			return ""
		}
		return measure.cell()
	}
	var others []string
	for _, measure := range f.Measures {
		if measure.What != wayBack {
			others = append(others, cell(measure.What)+": "+measure.cell())
		}
	}
	evidence := f.Evidence
	if first, _, _ := strings.Cut(f.Last, "\n"); first != "" {
		evidence += fmt.Sprintf("; back last: %.160s", first)
	}
	if f.Error != "" {
		evidence = strings.TrimSpace(evidence + "\n**" + f.Error + "**")
	}
	mark := ""
	if f.Short {
		mark = "s"
	}
	if f.Commit != "" && f.Commit != commit {
		evidence += fmt.Sprintf(" (commit %.12s)", f.Commit)
	}
	m.linef("| %s | %s | %s | %s | %s | %s | %s | %d | %d | %s | %s |", cell(f.Name), mark, map[bool]string{true: "yes", false: "**no**"}[f.Passed],
		times(readsThrough), times(writesThrough), times(writesOutside), times(wayBack), f.During, f.Lost, strings.Join(others, "<br>"), cell(evidence))
}

// cell is a time beside its aim.
func (m Measure) cell() string {
	text := fmt.Sprintf("%.1f s", m.Seconds)
	if m.missed() {
		text = "**" + text + "**"
	}
	if m.Aim > 0 {
		text += fmt.Sprintf(" (aim %g)", m.Aim)
	}
	return text
}

// unable lists what was not done, and why.
func (m *markdown) unable(o *Outcome) {
	var rows []*FaultRow
	for _, f := range o.Faults {
		if f.Unable != "" {
			rows = append(rows, f)
		}
	}
	if len(rows) > 0 {
		m.linef("\nNot shown on this topology:\n\n| fault | why |\n|---|---|")
	}
	slices.SortStableFunc(rows, func(a, b *FaultRow) int { return strings.Compare(a.Class, b.Class) })
	for _, f := range rows {
		m.linef("| %s: %s | %s |", cell(f.Class), cell(f.Name), cell(f.Unable))
	}
	m.linef("")
}

// FaultSummary says in a few lines what held.
func (r *Report) FaultSummary() (lines []string) {
	for _, o := range r.Topologies {
		for _, f := range o.Faults {
			word := "holds"
			switch {
			case f.Unable != "":
				word = "cannot"
			case !f.Passed:
				word = "FAILS"
			}
			lines = append(lines, fmt.Sprintf("%-16s %-6s %s", o.Topology, word, f.Name))
		}
	}
	return lines
}
