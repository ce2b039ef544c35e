package payload

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_5"
	"github.com/coreos/ignition/v2/config/v3_5/types"
	"gopkg.in/yaml.v3"
)

// snippet is one piece of the user's Butane, translated.
type snippet struct {
	Snippet
	root   *yaml.Node
	config types.Config
}

// readSnippet translates one snippet on its own. Variant and version may be
// left out: they are then the document's.
func readSnippet(s Snippet, doc *Document, plain bool) (snippet, []Problem) {
	out := snippet{Snippet: s}
	root, err := oneDocument(s.Text)
	if err != nil {
		return out, out.problems(yamlFindings(err))
	}
	if root == nil {
		return out, nil
	}
	out.root = root
	// Appended, not prepended, so that lines stay what they are.
	body := strings.TrimRight(s.Text, "\n") + "\n"
	if at(root, "variant") == nil && root.Style&yaml.FlowStyle == 0 {
		body += "variant: " + doc.Variant + "\n"
	}
	if at(root, "version") == nil && root.Style&yaml.FlowStyle == 0 {
		body += "version: " + strconv.Quote(doc.Version) + "\n"
	}
	raw, found := translate([]byte(body), plain)
	if len(found) > 0 {
		return out, out.problems(found)
	}
	if out.config, err = parseIgnition(raw); err != nil {
		return out, []Problem{out.foreign(raw, doc, err)}
	}
	return out, nil
}

// foreign explains a snippet that is good Butane, but for other systems.
func (s snippet) foreign(raw []byte, doc *Document, cause error) Problem {
	p := s.problem(at(s.root, "version"), cause.Error())
	switch version, err := versionOf(raw); {
	case err != nil:
		p = s.problem(at(s.root, "variant"), "this variant does not make an Ignition config")
	case version > newestSpec:
		p.Message = fmt.Sprintf("this version makes an Ignition config of spec %s, and nodes read at most %s", version, newestSpec)
	}
	p.Fix = fmt.Sprintf("write variant: %s and version: %s, or leave both out", doc.Variant, doc.Version)
	return p
}

// oneDocument is the top mapping of a YAML text, or nil when it holds nothing.
// butane reads the first document and drops the others unseen.
func oneDocument(text string) (*yaml.Node, error) {
	d := yaml.NewDecoder(strings.NewReader(text))
	var first, second yaml.Node
	if err := d.Decode(&first); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	switch err := d.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, err
	default:
		return nil, fmt.Errorf("line %d: a second YAML document; write one document", second.Line)
	}
	root := first.Content[0]
	if root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: not Butane: it starts with keys such as storage and systemd", root.Line)
	}
	return root, nil
}

func (s snippet) problems(found []finding) []Problem {
	out := make([]Problem, len(found))
	for i, f := range found {
		out[i] = s.problem(&yaml.Node{Line: f.line, Column: f.col}, f.message)
		if len(f.path) > 0 {
			out[i].Message = field(f.path) + ": " + f.message
		}
	}
	return out
}

// problem is located at n, a node of the snippet's text; nil is its first line.
func (s snippet) problem(n *yaml.Node, message string) Problem {
	p := Problem{Path: s.Path, File: s.File, Message: message}
	if s.Line > 0 {
		p.Line, p.Col = s.Line, max(s.Col, 1)
		if n != nil && n.Line > 0 {
			p.Line += n.Line - 1
			if s.Col > 0 {
				p.Col += n.Column - 1
			}
		}
	}
	return p
}

// merge lays a snippet over config as Ignition merges a child over its parent,
// and warns, at the user's line, about what it takes the place of.
func (s snippet) merge(config types.Config) (types.Config, []Problem) {
	if s.root == nil {
		return config, nil
	}
	warnings := append(s.pathConflicts(config), s.unitConflicts(config)...)
	replaced := map[string]bool{}
	for _, f := range s.config.Storage.Files {
		replaced[f.Path] = f.Contents.Source != nil
	}
	// Compression and hash belong to a source: a new source must not inherit ours.
	config.Storage.Files = slices.Clone(config.Storage.Files)
	for i, f := range config.Storage.Files {
		if replaced[f.Path] {
			config.Storage.Files[i].Contents = types.Resource{}
		}
	}
	return v3_5.Merge(config, s.config), warnings
}

// childJSON is the snippet as a config of its own. What it replaces must not
// inherit a compression, so its sources name theirs.
func (s snippet) childJSON(version string) ([]byte, error) {
	c := s.config
	c.Storage.Files = slices.Clone(c.Storage.Files)
	for i, f := range c.Storage.Files {
		if f.Contents.Source != nil && f.Contents.Compression == nil {
			c.Storage.Files[i].Contents.Compression = new(string)
		}
	}
	return marshalIgnition(c, version)
}

func (s snippet) pathConflicts(config types.Config) []Problem {
	ours := map[string]string{}
	for _, d := range config.Storage.Directories {
		ours[d.Path] = "directory"
	}
	for _, f := range config.Storage.Files {
		ours[f.Path] = "file"
	}
	for _, l := range config.Storage.Links {
		ours[l.Path] = "link"
	}
	var out []Problem
	for _, list := range [...]string{"directories", "files", "links"} {
		for _, item := range items(s.root, "storage", list) {
			path := at(item, "path")
			if path == nil || ours[path.Value] == "" {
				continue
			}
			out = append(out, s.warn(path, fmt.Sprintf("%s is a %s of imgforge, which this takes the place of", path.Value, ours[path.Value])))
		}
	}
	return out
}

func (s snippet) unitConflicts(config types.Config) []Problem {
	ours := map[string]types.Unit{}
	for _, u := range config.Systemd.Units {
		ours[u.Name] = u
	}
	var out []Problem
	for i, item := range items(s.root, "systemd", "units") {
		name := at(item, "name")
		if name == nil || i >= len(s.config.Systemd.Units) {
			continue
		}
		unit, taken := ours[name.Value]
		if !taken {
			continue
		}
		child := s.config.Systemd.Units[i]
		if what := replacedOf(unit, child); what != "" {
			out = append(out, s.warn(name, fmt.Sprintf("%s is a unit of imgforge, whose %s this takes the place of", name.Value, what)))
		}
		for _, d := range child.Dropins {
			if slices.ContainsFunc(unit.Dropins, func(o types.Dropin) bool { return o.Name == d.Name }) {
				out = append(out, s.warn(name, fmt.Sprintf("%s has a drop-in %s of imgforge, which this takes the place of", name.Value, d.Name)))
			}
		}
	}
	return out
}

// replacedOf names what of a unit a child changes; a drop-in adds and changes nothing.
func replacedOf(unit, child types.Unit) string {
	switch {
	case value(child.Mask) && !value(unit.Mask):
		return "start"
	case value(child.Contents) != "" && value(unit.Contents) != "":
		return "contents"
	case child.Enabled != nil && unit.Enabled != nil && *child.Enabled != *unit.Enabled:
		return "enabled"
	case child.Mask != nil && !*child.Mask && value(unit.Mask):
		return "mask"
	}
	return ""
}

func (s snippet) warn(n *yaml.Node, message string) Problem {
	p := s.problem(n, message)
	p.Warning = true
	return p
}
