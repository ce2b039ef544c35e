package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/forge"
)

// print shows what was observed, what to do first, and ends with 1 when there is
// something to do.
func (o *observed) print(out, errs io.Writer, asJSON bool) error {
	silent := 0
	for _, n := range o.Nodes {
		if n.Status == nil {
			silent++
		}
	}
	if asJSON {
		if err := printJSON(out, o); err != nil {
			return err
		}
	} else {
		var b strings.Builder
		o.write(&b)
		if _, err := io.WriteString(out, strings.Map(shown, b.String())); err != nil {
			return err
		}
	}
	switch {
	case o.texts > 0 && o.words == 0: // which says nothing about the node, good or bad
		return &verdictError{"no whole line of imgforge-node is in this text, so it shows nothing: take the whole console or journal of a node that booted an imgforge payload; " +
			"`imgforge doctor NUMBER` explains a code that you can read"}
	case len(o.Open) > 0 && silent > 0:
		return &verdictError{open(len(o.Open)) + ", " + forge.Counted(silent, "node") + " without an answer"}
	case len(o.Open) > 0:
		return &verdictError{open(len(o.Open))}
	case silent > 0:
		return &verdictError{forge.Counted(silent, "node") + " without an answer"}
	}
	fmt.Fprintln(errs, "no code is open")
	return nil
}

// shown keeps what nodes and logs say from steering the terminal.
func shown(r rune) rune {
	if r == '\n' || r == '\t' || unicode.IsPrint(r) {
		return r
	}
	return '?'
}

func open(n int) string { return forge.Counted(n, "open code") }

// write is for people: what to do comes first.
func (o *observed) write(b *strings.Builder) {
	for _, n := range o.Nodes {
		if n.Status == nil {
			fmt.Fprintf(b, "%s does not answer at %s\n  why:    %s\n  check:  %s\n\n", n.Node, n.Address, n.Problem, n.Check)
		}
	}
	if len(o.Open) > 1 {
		fmt.Fprint(b, "Begin with the first: later steps of the boot wait for earlier ones.\n\n")
	}
	for _, f := range o.Open {
		writeOpen(b, f)
	}
	section(b, "Waiting", len(o.Waiting), func(i int) string { return stepLine(o.Waiting[i]) })
	section(b, "Passed", len(o.Passed), func(i int) string {
		f := o.Passed[i]
		return fmt.Sprintf("%d %s%s: %s", f.Number, f.Name, whose(f.Node, f.Source), f.Since)
	})
	done := doneLines(o.Done)
	section(b, "Done", len(done), func(i int) string { return done[i] })
	told := slices.DeleteFunc(slices.Clone(o.Nodes), func(n forge.NodeReport) bool { return n.Status == nil })
	section(b, "Nodes", len(told), func(i int) string { return nodeLine(told[i]) })
}

func writeOpen(b *strings.Builder, f bootcode.Finding) {
	kind := "code"
	if f.Warning {
		kind = "warning"
	}
	fmt.Fprintf(b, "%s %d %s in step %s%s\n", kind, f.Number, f.Name, f.Step, whose(f.Node, f.Source))
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(b, "  %-8s%s\n", name+":", strings.ReplaceAll(text, "\n", "\n          "))
		}
	}
	row("what", f.What)
	row("why", strings.Join(f.Why, "\n"))
	row("change", f.Change)
	row("said", said(f))
	row("since", f.Since)
	if !f.Known {
		row("note", "this imgforge does not know the number: the text is that of a newer imgforge-node, and a newer imgforge explains it")
	}
	b.WriteString("\n")
}

// said is when and how often a code was said, as far as the text tells.
func said(f bootcode.Finding) string {
	switch {
	case f.Times == 1:
		return f.Last
	case f.First == "" || f.First == f.Last:
		return fmt.Sprintf("%d times", f.Times)
	}
	return fmt.Sprintf("%d times, first %s, last %s", f.Times, f.First, f.Last)
}

func whose(node, source string) string {
	text := ""
	if node != "" {
		text = " of " + node
	}
	if source != "" {
		text += " (" + source + ")"
	}
	return text
}

func section(b *strings.Builder, title string, n int, line func(i int) string) {
	if n == 0 {
		return
	}
	b.WriteString(title + ":\n")
	for i := range n {
		b.WriteString("  " + line(i) + "\n")
	}
	b.WriteString("\n")
}

func stepLine(s bootcode.Step) string { return s.Step + whose(s.Node, s.Source) + ": " + s.Text }

// doneLines are what each step of one node reached, or for several nodes the steps alone.
func doneLines(steps []bootcode.Step) (lines []string) {
	several := slices.ContainsFunc(steps, func(s bootcode.Step) bool { return s.Node != steps[0].Node || s.Source != steps[0].Source })
	last := ""
	for _, s := range steps {
		switch who := strings.TrimPrefix(whose(s.Node, s.Source), " of "); {
		case !several:
			lines = append(lines, stepLine(s))
		case who == last:
			lines[len(lines)-1] += ", " + s.Step
		default:
			lines, last = append(lines, strings.TrimSpace(who)+": "+s.Step), who
		}
	}
	return lines
}

// noticeable is a clock that is off by more than networks and people explain.
const noticeable = 10 * time.Second

func nodeLine(n forge.NodeReport) string {
	s := n.Status
	parts := []string{fmt.Sprintf("%s: %s, Kubernetes %s, imgforge-node %s", n.Node, s.Role, s.Kubernetes, s.Helper)}
	if !s.LatestBoot.IsZero() {
		parts = append(parts, "boots until "+s.LatestBoot.UTC().Format(time.DateOnly))
	}
	for _, v := range s.VRRP {
		parts = append(parts, "address "+v.Name+" "+v.State)
	}
	if n.Skew.Abs() > noticeable {
		parts = append(parts, fmt.Sprintf("its clock is %s off", n.Skew))
	}
	return strings.Join(append(parts, s.Unread...), "; ")
}
