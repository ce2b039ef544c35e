// Package report collects every problem found in what a user wrote, each with
// its place and what to write instead, so that all of them are shown at once.
// It prints nothing and decides nothing: callers ask [Report.Err].
package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity tells whether a problem stops the work.
type Severity int

// An Error stops the work; a Warning is shown and the work goes on.
const (
	Error Severity = iota
	Warning
)

func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// MarshalText makes a severity readable in JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Problem is one finding. Line and Col count from 1; zero means unknown.
type Problem struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"`
	Col      int      `json:"col,omitempty"`
	// Path is the field as a user would name it: roles.master.count.
	Path string `json:"path,omitempty"`
	// Message says what is wrong, lower case, with the offending value.
	Message string `json:"message"`
	// Fix says what to write instead.
	Fix string `json:"fix,omitempty"`
}

// String is the one-line form: file:line:col: [warning: ]path: problem; fix.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Col)
		}
		b.WriteString(": ")
	}
	if p.Severity == Warning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Fix != "" {
		b.WriteString("; " + p.Fix)
	}
	return b.String()
}

// Report is a list of problems. The zero value is empty and ready to use.
type Report struct {
	Problems []Problem `json:"problems"`
}

// Add appends problems.
func (r *Report) Add(p ...Problem) { r.Problems = append(r.Problems, p...) }

// Errors counts the problems that stop the work.
func (r *Report) Errors() int {
	n := 0
	for _, p := range r.Problems {
		if p.Severity == Error {
			n++
		}
	}
	return n
}

// Sort orders problems by file, line, column, path and text and drops repeats,
// so that the same input always prints the same report.
func (r *Report) Sort() {
	slices.SortStableFunc(r.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	r.Problems = slices.Compact(r.Problems)
}

// Err is nil when nothing stops the work, else an *Invalid that holds the report.
func (r *Report) Err() error {
	if r.Errors() == 0 {
		return nil
	}
	return &Invalid{Report: *r}
}

// Invalid is the error of input that must be changed by its author; the
// command line exits with 2 on it.
type Invalid struct{ Report Report }

func (e *Invalid) Error() string {
	lines := make([]string, 0, len(e.Report.Problems))
	for _, p := range e.Report.Problems {
		if p.Severity == Error {
			lines = append(lines, p.String())
		}
	}
	return strings.Join(lines, "\n")
}
