package payload

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_5/types"
)

// Sizes tells what a payload weighs, in bytes.
type Sizes struct {
	// Total is the payload as its budget counts it: after base64 where the
	// provider does so.
	Total int `json:"total"`
	// Raw and Base64 are the payload before and after base64.
	Raw    int `json:"raw"`
	Base64 int `json:"base64"`
	// Parts are the files and units, largest first, with their part of Total.
	// In a config that is compressed as a whole the parts are estimates.
	Parts []Size `json:"parts"`
}

// Size is the weight of one file or unit, by its path on the node.
type Size struct {
	Path  string `json:"path"`
	Bytes int    `json:"bytes"`
}

// part is one file or unit as the payload spells it.
type part struct {
	path string
	text []byte
}

func sizesOf(data []byte, parts []part, compressed bool, b Budget) Sizes {
	s := Sizes{Raw: len(data), Base64: base64.StdEncoding.EncodedLen(len(data))}
	s.Total = s.Raw
	if b.Base64 {
		s.Total = s.Base64
	}
	s.Parts = make([]Size, len(parts))
	weights := plainWeights(parts)
	if compressed {
		weights = flateWeights(parts)
	}
	for i, p := range parts {
		w := weights[i]
		if compressed {
			w = base64.StdEncoding.EncodedLen(w)
		}
		if b.Base64 {
			w = base64.StdEncoding.EncodedLen(w)
		}
		s.Parts[i] = Size{Path: p.path, Bytes: w}
	}
	slices.SortFunc(s.Parts, func(a, b Size) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Path, b.Path))
	})
	return s
}

func plainWeights(parts []part) []int {
	out := make([]int, len(parts))
	for i, p := range parts {
		out[i] = len(p.text)
	}
	return out
}

// flateWeights is by how much each part makes one compressed stream longer,
// which is what leaving it out would save.
func flateWeights(parts []part) []int {
	out := make([]int, len(parts))
	var b bytes.Buffer
	z, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return plainWeights(parts)
	}
	for i, p := range parts {
		before := b.Len()
		// A bytes.Buffer takes every write.
		_, _ = z.Write(p.text)
		_ = z.Flush()
		out[i] = b.Len() - before
	}
	return out
}

// ignitionParts spells the files and units of a config one by one.
func ignitionParts(c types.Config) []part {
	var parts []part
	for _, f := range c.Storage.Files {
		parts = append(parts, jsonPart(f.Path, f))
	}
	for _, u := range c.Systemd.Units {
		parts = append(parts, jsonPart(unitDir+"/"+u.Name, u))
	}
	return parts
}

func jsonPart(path string, v any) part {
	// Config types always marshal: they were parsed from JSON.
	raw, _ := json.Marshal(v)
	return part{path: path, text: raw}
}

// OverBudget is the error of a payload that the provider would refuse.
type OverBudget struct {
	Target, Format string
	Budget         Budget
	Sizes          Sizes
	Remedies       []Remedy
}

// Remedy is one way to a smaller payload.
type Remedy struct {
	// What says what to do.
	What string
	// Bytes is the size it would bring, as the budget counts; 0 is unknown.
	Bytes int
	// Note qualifies the number.
	Note string
}

// shownParts is how many of the largest files an error names.
const shownParts = 5

func (e *OverBudget) Error() string {
	var b strings.Builder
	counted := ""
	if e.Budget.Base64 {
		counted = " after base64"
	}
	fmt.Fprintf(&b, "the %s payload of %s is %d bytes%s, %d more than the %d that the provider accepts",
		e.Format, e.Target, e.Sizes.Total, counted, e.Sizes.Total-e.Budget.Bytes, e.Budget.Bytes)
	b.WriteString("\nlargest parts:")
	for _, p := range e.Sizes.Parts[:min(shownParts, len(e.Sizes.Parts))] {
		fmt.Fprintf(&b, "\n  %7d  %s", p.Bytes, p.Path)
	}
	b.WriteString("\nwhat helps:")
	for _, r := range e.Remedies {
		b.WriteString("\n  " + r.What)
		if r.Bytes > 0 {
			fmt.Fprintf(&b, ": %d bytes", r.Bytes)
			if r.Bytes > e.Budget.Bytes {
				b.WriteString(", still too many")
			}
		}
		if r.Note != "" {
			b.WriteString(" (" + r.Note + ")")
		}
	}
	return b.String()
}

// exampleURL stands for an artifacts.url that is not set yet, when its effect
// on the size is computed.
const exampleURL = "https://artifacts.example.org/cluster"

func overBudget(doc *Document, o Options, p *Payload) *OverBudget {
	e := &OverBudget{Target: doc.Target, Format: o.Format, Budget: o.Budget, Sizes: p.Sizes}
	if node, ok := singleNode(doc); ok {
		e.Remedies = append(e.Remedies, Remedy{
			What: "render --node NAME, which carries one node's files", Bytes: sizeOf(node, o), Note: "for " + node.Node + ", the largest",
		})
	}
	if o.ArtifactsURL == "" {
		with := o
		with.ArtifactsURL = exampleURL
		e.Remedies = append(e.Remedies, Remedy{
			What: "artifacts.url, from which nodes fetch what is not secret", Bytes: sizeOf(doc, with), Note: "with a URL as long as " + exampleURL,
		})
	}
	if node, ok := singleNode(doc); ok && o.ArtifactsURL == "" {
		with := o
		with.ArtifactsURL = exampleURL
		e.Remedies = append(e.Remedies, Remedy{What: "both", Bytes: sizeOf(node, with)})
	}
	if len(doc.Slots) > 1 {
		e.Remedies = append(e.Remedies, Remedy{What: "fewer slots, by a lower reserve: the payload of a role carries each"})
	}
	if len(e.Remedies) == 0 {
		e.Remedies = append(e.Remedies, Remedy{What: "a provider that takes more, or a drive; or less in extra"})
	}
	return e
}

// singleNode is the document of the role's largest node.
func singleNode(doc *Document) (*Document, bool) {
	if len(doc.Slots) < 2 {
		return nil, false
	}
	weight := func(i int) (n int) {
		for _, f := range doc.Slots[i].Files {
			n += len(f.Contents)
		}
		return n
	}
	best := 0
	for i := range doc.Slots {
		if weight(i) > weight(best) {
			best = i
		}
	}
	node := *doc
	node.Node, node.Target = doc.Slots[best].Node, doc.Slots[best].Node
	node.Files = slices.Concat(doc.Files, doc.Slots[best].Files)
	for i := len(doc.Files); i < len(node.Files); i++ {
		node.Files[i].Node, node.Files[i].Secret = true, true
	}
	node.Slots = nil
	return &node, true
}

// sizeOf is what a document would weigh; 0 when it cannot be told.
func sizeOf(doc *Document, o Options) int {
	p, err := render(doc, o)
	if err != nil {
		return 0
	}
	return p.Sizes.Total
}
