package bootcode

import (
	"cmp"
	"fmt"
	"slices"
)

// Finding is one code that a node said, decoded.
type Finding struct {
	Number  int    `json:"number"`
	Name    string `json:"name"`
	Step    string `json:"step"`
	Warning bool   `json:"warning"` // it passes, or the step went on all the same
	// Known is false for a number that this version does not know: the node's helper is newer.
	Known bool `json:"known"`
	// Source is the text that it was found in, Node who said it where that is known.
	Source string `json:"source,omitempty"`
	Node   string `json:"node,omitempty"`
	Times  int    `json:"times"`
	// First and Last are when it was said, as the text has it.
	First  string   `json:"first,omitempty"`
	Last   string   `json:"last,omitempty"`
	What   string   `json:"what"`
	Why    []string `json:"why"`
	Change string   `json:"change"`
	// Since is what the step said afterwards, if anything.
	Since string `json:"since,omitempty"`
}

// Step is the last word of a step that is no code.
type Step struct {
	Source string `json:"source,omitempty"`
	Node   string `json:"node,omitempty"`
	Step   string `json:"step"`
	Text   string `json:"text"`
	Time   string `json:"time,omitempty"`
}

// Diagnosis is what follows from everything that was said.
type Diagnosis struct {
	// Open are the codes that nothing has ended: those that somebody has to act on
	// first, then the warnings, each in the order of the boot.
	Open    []Finding `json:"open"`
	Waiting []Step    `json:"waiting"` // steps that wait and are not among the open codes
	Passed  []Finding `json:"passed"`  // codes that a later word of their step ended
	Done    []Step    `json:"done"`    // steps that reached their end
}

// NewDiagnosis is that of nothing said, whose lists are empty rather than absent.
func NewDiagnosis() Diagnosis { return Diagnosis{[]Finding{}, []Step{}, []Finding{}, []Step{}} }

// Add diagnoses the words of one text, in their order, and keeps the whole sorted.
func (d *Diagnosis) Add(source string, words []Word) {
	seen := sight(words)
	for i, w := range words {
		at := seen.steps[stepOf(w)]
		switch {
		case w.isCode():
			if f := seen.codes[codeOf(w)]; f.last == i {
				d.code(finding(source, w, f, words), w, words, at, seen.latest[w.Node])
			}
		case w.Boot < seen.latest[w.Node] || at.last != i:
			// the step has said something else since
		case w.State == WordDone:
			d.Done = append(d.Done, Step{source, w.Node, w.Step, w.Text, w.Time})
		case at.told < 0 || words[at.told].State == WordDone:
			d.Waiting = append(d.Waiting, Step{source, w.Node, w.Step, w.Text, w.Time})
		}
	}
	d.sort()
}

// sightings are where in a text the words stand that decide.
type sightings struct {
	latest map[string]int // the last start of each node
	steps  map[stepKey]stepSeen
	codes  map[codeKey]codeSeen
}

type stepKey struct {
	node, step string
	boot       int
}

// stepSeen are the last word of a step, and the last one that is more than waiting; -1 for none.
type stepSeen struct{ last, told int }

type codeKey struct {
	node   string
	number int
}

type codeSeen struct{ times, first, last, why int }

func stepOf(w Word) stepKey { return stepKey{w.Node, w.Step, w.Boot} }
func codeOf(w Word) codeKey { return codeKey{w.Node, w.Number} }
func (w Word) isCode() bool { return w.State == WordCode || w.State == WordWarning }
func sight(words []Word) sightings {
	seen := sightings{map[string]int{}, map[stepKey]stepSeen{}, map[codeKey]codeSeen{}}
	for i, w := range words {
		seen.latest[w.Node] = max(seen.latest[w.Node], w.Boot)
		at, ok := seen.steps[stepOf(w)]
		if !ok {
			at.told = -1
		}
		at.last = i
		if w.State != WordWaiting {
			at.told = i
		}
		seen.steps[stepOf(w)] = at
		if !w.isCode() {
			continue
		}
		c, ok := seen.codes[codeOf(w)]
		if !ok {
			c.first = i
		}
		if !ok || len(w.Why) > 0 {
			c.why = i // a text may be cut behind its first line
		}
		c.times, c.last = c.times+1, i
		seen.codes[codeOf(w)] = c
	}
	return seen
}

// code adds the finding of a code where it was said for the last time: open, unless
// its step has ended or has come to another code, or the machine has started anew.
func (d *Diagnosis) code(f Finding, w Word, words []Word, at stepSeen, latest int) {
	open := w.Boot == latest
	if !open {
		f.Since = "the machine has started again"
	}
	if words[at.last].State == WordWaiting {
		f.Since = "waits: " + words[at.last].Text
	}
	if then := words[at.told]; codeOf(then) != codeOf(w) {
		open, f.Since = false, "done: "+then.Text
		if then.isCode() {
			f.Since = fmt.Sprintf("then %d %s", then.Number, then.Name)
		}
	}
	if open {
		d.Open = append(d.Open, f)
	} else {
		d.Passed = append(d.Passed, f)
	}
}

// finding decodes a word by the table. What the table does not know it takes from
// the text.
func finding(source string, w Word, seen codeSeen, words []Word) Finding {
	f := Finding{Number: w.Number, Name: w.Name, Step: w.Step, Warning: w.State == WordWarning, Source: source, Node: w.Node,
		Times: seen.times, First: words[seen.first].Time, Last: w.Time, What: w.Text, Why: append([]string{}, words[seen.why].Why...), Change: w.Change}
	c, known := Of(w.Number)
	if f.Known = known; known {
		f.What, f.Change = c.What, c.Change
	}
	return f
}

func (d *Diagnosis) sort() {
	order := func(a, b Finding) int {
		severe := func(f Finding) int {
			if f.Warning {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(severe(a), severe(b)), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Node, b.Node))
	}
	slices.SortStableFunc(d.Open, order)
	slices.SortStableFunc(d.Passed, order)
}
