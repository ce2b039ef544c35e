package payload

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// atSnippets moves what cloud-init cannot express to the line of the user's own
// snippet: the document has no such thing, and an index into the merged lists
// says nothing to anybody.
func atSnippets(snippets []snippet, err error) error {
	bad, ok := errors.AsType[*Invalid](err)
	if !ok || len(snippets) == 0 {
		return err
	}
	places := map[string]Problem{}
	for _, s := range snippets {
		alone, ok := errors.AsType[*Invalid](cannot(s))
		if !ok {
			continue
		}
		for _, p := range alone.Problems {
			places[unnumbered(p.Path)+p.Message] = s.problem(s.node(p.Path), "")
		}
	}
	out := make([]Problem, len(bad.Problems))
	for i, p := range bad.Problems {
		at, found := places[unnumbered(p.Path)+p.Message]
		if !found { // only together with the rest is it wrong
			at = snippets[len(snippets)-1].problem(nil, "")
		}
		at.Message, at.Fix = unnumbered(p.Path)+": "+p.Message, p.Fix
		out[i] = at
	}
	return &Invalid{Problems: out}
}

// cannot converts a snippet alone, for its problems.
func cannot(s snippet) error {
	_, err := convert(s.config)
	return err
}

var numbers = regexp.MustCompile(`\[(\d+)\]`)

// unnumbered is a path without its indexes.
func unnumbered(path string) string { return numbers.ReplaceAllString(path, "") }

// node finds a path of Ignition, such as storage.files[0].httpHeaders (/etc/motd),
// in the snippet's Butane, or the nearest part above it.
func (s snippet) node(path string) *yaml.Node {
	path, _, _ = strings.Cut(path, " ")
	n := s.root
	for _, word := range strings.Split(numbers.ReplaceAllString(path, ".$1"), ".") {
		next := at(n, butaneName(word))
		if i, err := strconv.Atoi(word); err == nil && n.Kind == yaml.SequenceNode && i < len(n.Content) {
			next = resolve(n.Content[i])
		}
		if next == nil {
			break
		}
		n = next
	}
	return n
}

// butaneName is Butane's spelling of a field of Ignition: httpHeaders is http_headers.
func butaneName(field string) string {
	var b strings.Builder
	for i, r := range field {
		if unicode.IsUpper(r) && (i == 0 || !unicode.IsUpper(rune(field[i-1]))) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
