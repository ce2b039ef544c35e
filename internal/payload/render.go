package payload

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/coreos/ignition/v2/config/v3_5/types"

	"github.com/imgforge/imgforge/internal/artifact"
)

// The formats of a payload.
const (
	FormatIgnition  = "ignition"
	FormatCloudInit = "cloud-init"
	FormatButane    = "butane"
)

// Options say how a document becomes a payload.
type Options struct {
	// Format is ignition, cloud-init or butane.
	Format string
	Budget Budget
	// Oversize returns a payload that is over the budget instead of *OverBudget: its
	// Sizes then say by how much.
	Oversize bool
	// ArtifactsURL is where nodes fetch files that are neither secret nor their
	// own; "" carries every file.
	ArtifactsURL string
	// Seal is the key of a node's slot; nil leaves slots in the clear.
	Seal func(node string) ([32]byte, error)
}

// Budget is a provider's limit on user-data.
type Budget struct {
	// Bytes is the most that is accepted; 0 is no limit.
	Bytes int
	// Base64 counts the size after base64.
	Base64 bool
}

// Payload is what a node's first boot reads.
type Payload struct {
	Data  []byte
	Sizes Sizes
	// Fetched are the files to serve under Options.ArtifactsURL, by their path
	// below it.
	Fetched []artifact.File
	// Warnings are located at the user's lines.
	Warnings []Problem
}

// Render turns a document into a payload. The same document and options give
// the same bytes. The error is *Invalid for a document or snippet that cannot
// be expressed, and *OverBudget for one that is too large.
func Render(doc *Document, o Options) (*Payload, error) {
	p, err := render(doc, o)
	if err != nil {
		return nil, err
	}
	if o.Budget.Bytes > 0 && p.Sizes.Total > o.Budget.Bytes && !o.Oversize {
		return nil, overBudget(doc, o, p)
	}
	return p, nil
}

func render(doc *Document, o Options) (*Payload, error) {
	files, fetched, err := place(doc, o)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", doc.Target, err)
	}
	p := &Payload{Fetched: fetched}
	switch o.Format {
	case FormatButane:
		err = p.butane(doc, files, o)
	case FormatIgnition:
		err = p.ignition(doc, files, o)
	case FormatCloudInit:
		err = p.cloudInit(doc, files, o)
	default:
		err = fmt.Errorf("format %q is none of %s, %s, %s", o.Format, FormatIgnition, FormatCloudInit, FormatButane)
	}
	if err != nil {
		if _, invalid := errors.AsType[*Invalid](err); invalid {
			return nil, err
		}
		return nil, fmt.Errorf("render %s: %w", doc.Target, err)
	}
	return p, nil
}

// ignition fills p with the shorter of two spellings: every file compressed by
// itself, or nothing compressed but the whole config, inside config.replace. The
// first is not even tried where the second leaves less than half: files that are
// compressed one by one never come near it, and translating twice is most of the work.
func (p *Payload) ignition(doc *Document, files []placed, o Options) error {
	whole, err := assemble(doc, files, escaped)
	if err != nil {
		return err
	}
	wrapped, err := wrap(doc, whole.json)
	if err != nil {
		return err
	}
	p.Warnings = whole.warnings
	p.Data = wrapped
	if 2*len(wrapped) < len(whole.json) {
		p.Sizes = sizesOf(wrapped, ignitionParts(whole.config), true, o.Budget)
		return nil
	}
	single, err := assemble(doc, files, readable)
	if err != nil {
		return err
	}
	if len(wrapped) < len(single.json) {
		p.Sizes = sizesOf(wrapped, ignitionParts(whole.config), true, o.Budget)
		return nil
	}
	p.Data = single.json
	p.Sizes = sizesOf(single.json, ignitionParts(single.config), false, o.Budget)
	return nil
}

func (p *Payload) cloudInit(doc *Document, files []placed, o Options) error {
	a, err := assemble(doc, files, escaped)
	if err != nil {
		return err
	}
	c, err := convert(a.config)
	if err != nil {
		return atSnippets(a.snippets, err)
	}
	if p.Data, err = c.encode(); err != nil {
		return err
	}
	p.Warnings = a.warnings
	p.Sizes = sizesOf(p.Data, c.parts(), false, o.Budget)
	if o.Budget.Bytes == 0 || p.Sizes.Total <= o.Budget.Bytes {
		return nil
	}
	packed, err := pack(p.Data)
	if err != nil || len(packed) >= len(p.Data) {
		return err
	}
	p.Data = packed
	p.Sizes = sizesOf(packed, c.parts(), true, o.Budget)
	return nil
}

// butane fills p with Butane that people can read and translate themselves.
// Snippets stay children that Ignition merges.
func (p *Payload) butane(doc *Document, files []placed, o Options) error {
	a, err := assemble(doc, files, readable)
	if err != nil {
		return err
	}
	version, err := versionOf(a.json)
	if err != nil {
		return err
	}
	if p.Data, err = readableButane(doc, files, a.snippets, version); err != nil {
		return err
	}
	p.Warnings = a.warnings
	p.Sizes = sizesOf(p.Data, ignitionParts(a.config), false, o.Budget)
	return nil
}

// assembled is a document as Ignition, the user's snippets merged.
type assembled struct {
	json     []byte
	config   types.Config
	snippets []snippet
	warnings []Problem
}

func assemble(doc *Document, files []placed, as style) (assembled, error) {
	text, err := butaneYAML(doc, files, as)
	if err != nil {
		return assembled{}, err
	}
	raw, found := translate(text, as == escaped)
	if len(found) > 0 {
		return assembled{}, &Invalid{Problems: documentProblems(doc, files, found)}
	}
	a := assembled{json: raw}
	// butane has validated what it made; validating again would double the time.
	if err := json.Unmarshal(raw, &a.config); err != nil {
		return assembled{}, err
	}
	if len(doc.Extra) == 0 {
		return a, nil
	}
	return a, a.mergeExtra(doc, as)
}

func (a *assembled) mergeExtra(doc *Document, as style) error {
	version, err := versionOf(a.json)
	if err != nil {
		return err
	}
	snippets, err := readSnippets(doc, as)
	if err != nil {
		return err
	}
	a.snippets = snippets
	ours := a.config
	for _, s := range snippets {
		// Conflicts are with the document: one snippet may refine another.
		_, warnings := s.merge(ours)
		a.warnings = append(a.warnings, warnings...)
		if a.config, _ = s.merge(a.config); s.root == nil {
			continue
		}
		if a.json, err = marshalIgnition(a.config, version); err != nil {
			return err
		}
		if a.config, err = parseIgnition(a.json); err != nil {
			return &Invalid{Problems: []Problem{s.problem(nil, "does not go together with the rest: "+err.Error())}}
		}
	}
	return nil
}

func readSnippets(doc *Document, as style) ([]snippet, error) {
	var snippets []snippet
	var problems []Problem
	for _, text := range doc.Extra {
		s, found := readSnippet(text, doc, as == escaped)
		snippets = append(snippets, s)
		problems = append(problems, found...)
	}
	if len(problems) > 0 {
		return nil, &Invalid{Problems: problems}
	}
	return snippets, nil
}

// wrap puts a config, compressed, into the config.replace of another.
func wrap(doc *Document, config []byte) ([]byte, error) {
	packed, err := gzipped(config)
	if err != nil {
		return nil, err
	}
	c := butaneConfig{Variant: doc.Variant, Version: doc.Version, Ignition: &butaneHead{Config: butaneRefs{Replace: &butaneResource{
		Source: "data:;base64," + base64.StdEncoding.EncodeToString(packed), Compression: "gzip",
	}}}}
	yaml, err := encodeYAML(c)
	if err != nil {
		return nil, err
	}
	out, found := translate(yaml, false)
	if len(found) > 0 {
		return nil, fmt.Errorf("wrap the config: %s", found[0].message)
	}
	return out, nil
}
