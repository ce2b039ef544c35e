package bootcode

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// States of a word.
const (
	WordCode    = "code"    // somebody has to act
	WordWarning = "warning" // it passes, or the step went on all the same
	WordWaiting = "waiting" // a step says what it waits for
	WordDone    = "done"    // a step reached its end
)

// Word is one thing that a node said about a step.
type Word struct {
	State  string
	Step   string
	Number int      // of a code or warning
	Name   string   // of it
	Why    []string // its reasons, line by line
	// Text is what a code means, what a step waits for or what its end is. Change is
	// what to change. Both are the node's own words, cut where the text is.
	Text, Change string
	// Time is the text in front of the line; empty where there is none.
	Time string
	// Node is the node where the text names it, Boot counts the starts of that machine.
	Node string
	Boot int

	program string // that said it, with its process number
	starts  int    // of any machine before it
}

// speaker is in front of everything that imgforge-node says on its own account.
const speaker = "imgforge: "

var (
	codeLine = regexp.MustCompile(`imgforge: (code|warning) (\d{1,6}) ([a-z0-9-]+) in step ([a-z0-9-]+): ?(.*)`)
	stepLine = regexp.MustCompile(`imgforge: step ([a-z0-9-]+) (waits|done): (.*)`)
	// identity is how the claim says who the machine is.
	identity = regexp.MustCompile(`^this is ([a-z0-9][a-z0-9.-]*)`)
)

// wrapped is the length, in characters, from which a line may have been cut by a
// terminal rather than by its author.
const wrapped = 72

// speakers is how many processes may speak at once, line between line.
const speakers = 16

// Parse finds what nodes said in the text of a console, a journal or a log, in its
// order. It passes over everything else, and takes the text of a code from between
// lines of others.
func Parse(text string) []Word {
	p := parser{starts: map[string]int{}}
	all := lines(text)
	for i := 0; i < len(all); i++ {
		// A terminal's width may have cut a code's own line in two.
		if i+1 < len(all) && strings.Contains(all[i], "imgforge") && !begins(all[i]) && !begins(all[i+1]) && begins(all[i]+all[i+1]) {
			all[i+1] = all[i] + all[i+1]
			continue
		}
		p.line(all[i])
	}
	name(p.words)
	out := make([]Word, len(p.words))
	for i, w := range p.words {
		out[i] = w.trimmed()
	}
	return out
}

// trimmed drops the spaces at ends, which a cut line still needed.
func (w *Word) trimmed() Word {
	w.Text, w.Change = strings.TrimSpace(w.Text), strings.TrimSpace(w.Change)
	for i := range w.Why {
		w.Why[i] = strings.TrimSpace(w.Why[i])
	}
	return *w
}

func begins(line string) bool {
	return strings.Contains(line, speaker) && (codeLine.MatchString(line) || stepLine.MatchString(line))
}

// parser reads line by line.
type parser struct {
	words  []*Word
	open   []*opened      // whose text may go on, one for each origin
	last   *opened        // what the line before belonged to, if to anything
	long   bool           // that line was long enough to have been cut
	starts map[string]int // how often each machine started
	all    int            // how often any did
}

// opened is a word whose lines are being read.
type opened struct {
	word  *Word
	tag   string  // in front of each of its lines, behind the time
	timed bool    // its lines have a time
	part  *string // where a cut line goes on
}

func (p *parser) line(line string) {
	time, rest := timed(line)
	long := len([]rune(line)) >= wrapped
	defer func() { p.long = long }()
	if boots.MatchString(rest) {
		machine, _ := origin(rest[:boots.FindStringIndex(rest)[0]])
		p.starts[machine]++
		p.all++
		p.last = nil
		return
	}
	if w, tag := word(rest); w != nil {
		machine, program := origin(tag)
		w.Time, w.Node, w.program, w.starts = time, machine, program, p.all
		w.Boot = p.starts[""]
		if machine != "" {
			w.Boot += p.starts[machine]
		}
		p.words = append(p.words, w)
		p.begin(&opened{word: w, tag: tag, timed: time != "", part: &w.Text})
		return
	}
	before := p.last
	p.last = nil
	for _, o := range p.open {
		if text, ok := o.owns(time, rest); ok {
			o.take(text)
			p.last = o
			return
		}
	}
	if before != nil && p.long && time == "" && !strings.HasPrefix(rest, "[") {
		*before.part += rest
		p.last = before
	}
}

// begin ends what the same origin said before.
func (p *parser) begin(o *opened) {
	p.open = slices.DeleteFunc(p.open, func(old *opened) bool { return old.tag == o.tag })
	if len(p.open) == speakers {
		p.open = p.open[1:]
	}
	p.open = append(p.open, o)
	p.last = o
}

// word is what a line begins to say, and what stands in front of it.
func word(line string) (w *Word, tag string) {
	if !strings.Contains(line, speaker) {
		return nil, ""
	}
	if m := codeLine.FindStringSubmatchIndex(line); m != nil {
		part := func(i int) string { return line[m[2*i]:m[2*i+1]] }
		number, err := strconv.Atoi(part(2))
		if err != nil {
			return nil, "" // six digits always are a number
		}
		return &Word{State: part(1), Number: number, Name: part(3), Step: part(4), Text: part(5)}, line[:m[0]]
	}
	if m := stepLine.FindStringSubmatchIndex(line); m != nil {
		part := func(i int) string { return line[m[2*i]:m[2*i+1]] }
		state := WordWaiting
		if part(2) == "done" {
			state = WordDone
		}
		return &Word{State: state, Step: part(1), Text: part(3)}, line[:m[0]]
	}
	return nil, ""
}

// owns tells whether a line goes on with this word, and what it says then. What
// has no origin is known by its indentation alone.
func (o *opened) owns(time, rest string) (string, bool) {
	if o.timed != (time != "") {
		return "", false
	}
	if o.tag == "" {
		return rest, strings.HasPrefix(rest, "  ")
	}
	return strings.CutPrefix(rest, o.tag)
}

// take adds a line to its word. Some logs drop the spaces in front.
func (o *opened) take(text string) {
	text = strings.TrimLeft(text, " \t")
	w := o.word
	switch reason, isWhy := strings.CutPrefix(text, "why:"); {
	case w.State != WordCode && w.State != WordWarning:
	case isWhy:
		w.Why = append(w.Why, strings.TrimLeft(reason, " "))
		o.part = &w.Why[len(w.Why)-1]
	case strings.HasPrefix(text, "change:"):
		w.Change = strings.TrimLeft(strings.TrimPrefix(text, "change:"), " ")
		o.part = &w.Change
	case len(w.Why) > 0 && w.Change == "":
		w.Why = append(w.Why, text)
		o.part = &w.Why[len(w.Why)-1]
	}
}

// name gives words the node that said them. Before its claim a machine has another
// name, or none: what the same process says of itself later holds for it, and a
// log that names no machine is that of the one node in it.
func name(words []*Word) {
	var node string
	var claims []*Word
	for _, w := range words {
		m := identity.FindStringSubmatch(w.Text)
		if m == nil || w.State != WordDone || w.Step != "claim" {
			continue
		}
		w.Node = m[1]
		if node != "" && node != w.Node {
			return // a log of several nodes, whose lines name them
		}
		node, claims = w.Node, append(claims, w)
	}
	for _, w := range words {
		same := func(c *Word) bool { return c.program == w.program }
		if node != "" && (w.Node == "" || slices.ContainsFunc(claims, same)) {
			w.Node = node
		}
	}
	if node != "" && !slices.ContainsFunc(words, func(w *Word) bool { return w.Node != node }) {
		for _, w := range words {
			w.Boot = w.starts // its kernel may have spoken under another name
		}
	}
}
