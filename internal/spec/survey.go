package spec

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/report"
)

// Limits of a cluster file's shape. The deepest field lies 6 levels down; the
// largest cluster, 5,000 nodes with every field set, has about 150,000 values.
const (
	maxDepth   = 24
	maxValues  = 200_000
	maxAliases = 64
)

// survey records where every path stands and refuses shapes that no cluster
// file has: too deep, too many values, tags, and aliases that could multiply.
// An alias may repeat a value that holds no alias itself, so nothing expands
// beyond maxAliases copies; the walk never follows more than maxValues nodes.
func (s *Source) survey(root *yaml.Node) []report.Problem {
	w := surveyor{src: s}
	w.visit(root, nil, "", 0, false)
	return w.problems
}

type surveyor struct {
	src             *Source
	problems        []report.Problem
	values, aliases int
	full            bool
}

// refuse stops the walk: what comes after a shape that is refused is not worth reading.
func (w *surveyor) refuse(n *yaml.Node, path, message, fix string) {
	w.full = true
	w.problems = append(w.problems, report.Problem{Line: n.Line, Col: n.Column, Path: path, Message: message, Fix: fix})
}

func (w *surveyor) visit(n, key *yaml.Node, path string, depth int, shared bool) {
	if w.full {
		return
	}
	w.values++
	switch {
	case w.values > maxValues:
		w.refuse(n, path, fmt.Sprintf("the file has more than %d values", maxValues), "check that this is the cluster file")
		return
	case depth > maxDepth:
		w.refuse(n, path, fmt.Sprintf("nested deeper than %d levels", maxDepth), "a cluster file needs 6: check the brackets and the indentation")
		return
	case n.Style&yaml.TaggedStyle != 0:
		w.refuse(n, path, fmt.Sprintf("the tag %s is not read", quote(n.Tag)), "write the value alone")
		return
	}
	p := place{line: n.Line, col: n.Column, kind: n.Kind, style: n.Style}
	if key != nil {
		p.keyLine, p.keyCol = key.Line, key.Column
	}
	if n.Kind == yaml.AliasNode {
		w.alias(n, key, path, depth, shared, p)
		return
	}
	if _, seen := w.src.places[path]; !seen {
		w.src.places[path] = p
	}
	shared = shared || n.Anchor != ""
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			w.visit(n.Content[i+1], n.Content[i], join(path, pathKey(n.Content[i])), depth+1, shared)
		}
	case yaml.SequenceNode:
		for i, child := range n.Content {
			w.visit(child, nil, item(path, i), depth+1, shared)
		}
	}
}

func (w *surveyor) alias(n, key *yaml.Node, path string, depth int, shared bool, p place) {
	if shared {
		w.refuse(n, path, fmt.Sprintf("alias %s stands inside an anchor, which can repeat without end", quote("*"+n.Value)), "write the value out")
		return
	}
	if w.aliases++; w.aliases > maxAliases {
		w.refuse(n, path, fmt.Sprintf("more than %d aliases", maxAliases), "write the values out")
		return
	}
	w.visit(n.Alias, key, path, depth, true)
	// The place of an aliased value is where it is used; what it holds stands at the anchor.
	p.kind = n.Alias.Kind
	w.src.places[path] = p
}

// pathKey is a key as it stands in paths; one that would tear a path apart is
// not worth an entry of its own.
func pathKey(key *yaml.Node) string {
	if key.Kind != yaml.ScalarNode || key.Value == "" || len(key.Value) > 320 || strings.ContainsAny(key.Value, " \t\r\n[]\"'") {
		return "?"
	}
	if what, _ := secretIn(key.Value); what != "" {
		return "?" // paths are printed
	}
	return key.Value
}
