package spec

import (
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/report"
)

// Source knows where each path of a parsed cluster file stands, so that
// problems found later, in the plan or in a payload, point at the author's line.
type Source struct {
	file   string
	lines  []string
	places map[string]place
	// broken are paths that already have a problem: what follows from them is not reported again.
	broken map[string]bool
}

// place is where a value, and the key that holds it, stand.
type place struct {
	line, col       int
	keyLine, keyCol int
	kind            yaml.Kind
	style           yaml.Style
}

func newSource(file string, data []byte) *Source {
	return &Source{
		file: file, lines: strings.Split(string(data), "\n"),
		places: map[string]place{}, broken: map[string]bool{},
	}
}

// Position is the place of a path, both counted from 1: of the value when that
// is a scalar, of the key when it holds a mapping or a list. It reports false
// for a path that the file does not contain.
func (s *Source) Position(path string) (line, col int, ok bool) {
	p, ok := s.places[path]
	if !ok {
		return 0, 0, false
	}
	if p.kind != yaml.ScalarNode && p.keyLine > 0 {
		return p.keyLine, p.keyCol, true
	}
	return p.line, p.col, true
}

// Block is the line of the first text line of a scalar: the line below the
// indicator of a block scalar, the scalar's own line otherwise, and 0 when the
// file does not contain the path.
func (s *Source) Block(path string) (line int) {
	p, ok := s.places[path]
	switch {
	case !ok:
		return 0
	case p.style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return min(p.line+1, len(s.lines))
	}
	return p.line
}

// Locate fills in the file and the place of every problem that has a path but
// no line yet: those of the path, or of its nearest ancestor in the file.
func (s *Source) Locate(r *report.Report) {
	for i := range r.Problems {
		p := &r.Problems[i]
		if p.Line > 0 {
			continue
		}
		p.File = s.file
		p.Line, p.Col = s.nearest(p.Path)
	}
}

func (s *Source) nearest(path string) (line, col int) {
	for {
		if line, col, ok := s.Position(path); ok {
			return line, col
		}
		if path == "" {
			return 1, 1
		}
		path = parent(path)
	}
}

// has tells whether the file sets a path, be it to an empty value.
func (s *Source) has(path string) bool {
	_, ok := s.places[path]
	return ok
}

// doubtful tells whether a path, or what holds it, already has a problem of
// reading: a finding about its meaning would only repeat that.
func (s *Source) doubtful(path string) bool {
	for {
		if s.broken[path] {
			return true
		}
		if path == "" {
			return false
		}
		path = parent(path)
	}
}

// indent is the column at which the text of a block scalar begins, from 1.
func (s *Source) indent(line int) int {
	for ; line >= 1 && line <= len(s.lines); line++ {
		text := s.lines[line-1]
		if trimmed := strings.TrimLeft(text, " "); strings.TrimSpace(trimmed) != "" {
			return len(text) - len(trimmed) + 1
		}
	}
	return 1
}
