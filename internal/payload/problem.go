package payload

import (
	"fmt"
	"strings"
)

// Problem is one finding about a document or a user's snippet. Line and Col
// count from 1; zero means unknown.
type Problem struct {
	// Path is the field of the cluster file (extra.worker) or the part of the
	// document (file /etc/hosts) that the problem is about.
	Path      string
	File      string
	Line, Col int
	Message   string
	// Fix says what to write instead.
	Fix string
	// Warning marks a finding that does not stop the work.
	Warning bool
}

// String is the one-line form: file:line:col: path: message; fix.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Col)
		}
		b.WriteString(": ")
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

// Invalid is the error of a document that cannot become a payload. It holds
// every problem that was found, not only the first.
type Invalid struct{ Problems []Problem }

func (e *Invalid) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
