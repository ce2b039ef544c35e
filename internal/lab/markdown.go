package lab

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Markdown writes the report for people. Its times are of one run; nothing in it is rounded up.
func (r *Report) Markdown(w io.Writer) error {
	m := &markdown{}
	m.linef("# What the lab showed\n\nWritten by `imgforge test` from commit %s, on %d cores with %d MiB, %s, Linux %s, cgroup %s. It took %s.\n",
		r.Commit, r.Host.Cores, r.Host.MemoryMiB, r.Host.System, r.Host.Kernel, r.Host.Cgroups, minutes(r.Seconds))
	m.linef("Nodes boot the payloads that `imgforge build` writes, unchanged, with no network beyond the lab's, and nobody gives a node a command. The lab watches, cuts and gives power, and has the API run pods to ask from. Seconds count from the node's power-on.\n")
	for _, o := range r.Topologies {
		m.outcome(o)
	}
	m.linef("## What these nodes cannot show\n")
	for _, line := range r.NotProven {
		m.linef("- %s", line)
	}
	if len(r.Overrides) > 0 {
		m.linef("\n## What the lab adds to a node\n\nThis and nothing else, beside what the payload wrote:\n")
		for _, f := range r.Overrides {
			m.linef("`%s`\n\n```\n%s\n```\n", f.Path, strings.TrimRight(f.Text, "\n"))
		}
	}
	m.linef("\n## Programs\n\n| program | version | from |\n|---|---|---|")
	for _, p := range r.Programs {
		m.linef("| %s | %s | %s |", p.Name, p.Version, p.From)
	}
	_, err := io.WriteString(w, m.String())
	return err
}

type markdown struct{ strings.Builder }

func (m *markdown) linef(format string, args ...any) { fmt.Fprintf(m, format+"\n", args...) }

func (m *markdown) outcome(o *Outcome) {
	m.linef("## %s\n\n%s. %s of kind %s; %s in all.\n", o.Topology, o.About, counted(len(o.Nodes), "node"), o.Kind, minutes(o.Seconds))
	if o.Error != "" {
		m.linef("**It ended early**: %s\n", cell(o.Error))
	}
	m.linef("<details><summary>The cluster file</summary>\n\n```yaml imgforge\n%s\n```\n</details>\n", strings.TrimRight(o.Cluster, "\n"))
	m.checks(o)
	m.peer(o.Peer)
	for _, phase := range phases(o) {
		m.phase(o, phase)
	}
	m.linef("")
}

// checks is the table of the checks that were made.
func (m *markdown) checks(o *Outcome) {
	if len(o.Checks) > 0 {
		m.linef("| check | holds | evidence |\n|---|---|---|")
	}
	for _, c := range o.Checks {
		m.linef("| %s | %s | %s |", cell(c.Name), map[bool]string{true: "yes", false: "**no**"}[c.Passed], cell(c.Evidence))
	}
}

// phases lists the parts of a trial in which something was reached, in order.
func phases(o *Outcome) (list []string) {
	for _, s := range o.Steps {
		if !slices.Contains(list, s.Phase) {
			list = append(list, s.Phase)
		}
	}
	return list
}

// phase is one table of the seconds after which each node reached what.
func (m *markdown) phase(o *Outcome, phase string) {
	m.linef("\n### %s: %s\n", o.Topology, phase)
	var whats, nodes []string
	at := map[[2]string]string{}
	for _, s := range o.Steps {
		if s.Phase != phase {
			continue
		}
		if s.Node == "" {
			m.linef("- **%.1f s**: %s", s.Seconds, s.What)
			continue
		}
		if !slices.Contains(whats, s.What) {
			whats = append(whats, s.What)
		}
		if !slices.Contains(nodes, s.Node) {
			nodes = append(nodes, s.Node)
		}
		at[[2]string{s.What, s.Node}] = fmt.Sprintf("%.1f", s.Seconds)
	}
	slices.Sort(nodes)
	m.linef("\n| reached | %s |\n|---|%s", strings.Join(nodes, " | "), strings.Repeat("---|", len(nodes)))
	for _, what := range whats {
		var row []string
		for _, n := range nodes {
			row = append(row, at[[2]string{what, n}])
		}
		m.linef("| %s | %s |", what, strings.Join(row, " | "))
	}
	m.words(o, phase)
}

// words is what the steps of the nodes' own boot said last.
func (m *markdown) words(o *Outcome, phase string) {
	var rows []string
	for _, w := range o.Words {
		if w.Phase != phase {
			continue
		}
		text := w.State
		if w.Code != 0 {
			text = fmt.Sprintf("%s, code %d", w.State, w.Code)
		}
		first, _, _ := strings.Cut(w.Text, "\n")
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | %.1f | %s |", w.Node, w.Step, text, w.Seconds, cell(first)))
	}
	if len(rows) > 0 {
		m.linef("\n<details><summary>The nodes' own words</summary>\n\n| node | step | state | seconds | last word |\n|---|---|---|---|---|\n%s\n\n</details>", strings.Join(rows, "\n"))
	}
}

// cell makes text fit a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", "<br>").Replace(strings.TrimSpace(s))
}

func minutes(seconds float64) string {
	if seconds < 120 {
		return fmt.Sprintf("%.0f seconds", seconds)
	}
	return fmt.Sprintf("%.1f minutes", seconds/60)
}
