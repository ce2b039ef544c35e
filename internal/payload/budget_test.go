package payload

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
)

// noise is text that hardly compresses, always the same.
func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, seed))
	b := make([]byte, n)
	for i := range b {
		b[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[r.IntN(64)]
	}
	return b
}

// heavy is a role document of three nodes, one of them larger than the others.
func heavy() *Document {
	doc := worker()
	doc.Files = append(doc.Files, artifact.File{Path: "/opt/public", Contents: noise(1, 9000)})
	doc.Slots = nil
	for i, name := range []string{"worker-1", "worker-2", "worker-3"} {
		doc.Slots = append(doc.Slots, artifact.Slot{Node: name, Match: []string{name},
			Files: []artifact.File{{Path: "/etc/own", Mode: 0o600, Contents: noise(uint64(i+2), 6000+200*i)}}})
	}
	return doc
}

func TestOverBudgetNamesSizesAndRemedies(t *testing.T) {
	for _, format := range []string{FormatIgnition, FormatCloudInit} {
		_, err := Render(heavy(), Options{Format: format, Budget: Budget{Bytes: 20000}})
		over, ok := errors.AsType[*OverBudget](err)
		if !ok {
			t.Fatalf("%s: got %v", format, err)
		}
		if over.Sizes.Parts[0].Path != "/opt/public" || over.Sizes.Parts[1].Path != SlotDir+"/worker-3.slot" {
			t.Errorf("%s: largest parts %v", format, over.Sizes.Parts[:2])
		}
		node, url, both := over.Remedies[0].Bytes, over.Remedies[1].Bytes, over.Remedies[2].Bytes
		if node >= over.Sizes.Total || url >= over.Sizes.Total || both >= node || both >= url || both == 0 {
			t.Errorf("%s: total %d, one node %d, artifacts.url %d, both %d", format, over.Sizes.Total, node, url, both)
		}
		for _, want := range []string{"more than the 20000 that the provider accepts", "--node", "for worker-3", "artifacts.url", "a lower reserve"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is missing in\n%s", format, want, err)
			}
		}
	}
}

// TestRemediesAreTrue renders what a remedy describes and compares.
func TestRemediesAreTrue(t *testing.T) {
	doc := heavy()
	o := Options{Format: FormatIgnition, Budget: Budget{Bytes: 1, Base64: true}}
	_, err := Render(doc, o)
	over, ok := errors.AsType[*OverBudget](err)
	if !ok {
		t.Fatal(err)
	}
	o.Budget.Bytes, o.ArtifactsURL = 0, exampleURL
	if got := mustRender(t, doc, o).Sizes.Total; got != over.Remedies[1].Bytes {
		t.Errorf("with artifacts.url the payload is %d bytes, not %d", got, over.Remedies[1].Bytes)
	}
	if doc.Files[len(doc.Files)-1].Node {
		t.Error("computing the remedies changed the document")
	}
}

func TestSizes(t *testing.T) {
	for _, format := range []string{FormatIgnition, FormatCloudInit, FormatButane} {
		p := mustRender(t, heavy(), Options{Format: format, Budget: Budget{Base64: true}})
		want := len(base64.StdEncoding.EncodeToString(p.Data))
		if s := p.Sizes; s.Raw != len(p.Data) || s.Total != want || s.Base64 != want {
			t.Errorf("%s: %d %d %d for %d bytes", format, s.Raw, s.Base64, s.Total, len(p.Data))
		}
		sum := 0
		for _, part := range p.Sizes.Parts {
			sum += part.Bytes
		}
		if sum*10 < p.Sizes.Total*8 || sum*10 > p.Sizes.Total*12 {
			t.Errorf("%s: the parts are %d of %d bytes", format, sum, p.Sizes.Total)
		}
	}
}

func TestBudgetIsInclusive(t *testing.T) {
	o := Options{Format: FormatIgnition}
	total := mustRender(t, heavy(), o).Sizes.Total
	o.Budget.Bytes = total
	mustRender(t, heavy(), o)
	o.Budget.Bytes = total - 1
	if _, err := Render(heavy(), o); err == nil {
		t.Error("one byte over the budget passes")
	}
}

// TestTheShorterSpellingIsChosen: a config that compresses well travels inside
// config.replace with its files plain, one that does not stays as it is.
func TestTheShorterSpellingIsChosen(t *testing.T) {
	doc := heavy()
	doc.Files = append(doc.Files, artifact.File{Path: "/opt/text", Contents: bytes.Repeat([]byte("spec:\n  containers:\n    - name: x\n"), 300)})
	p := mustRender(t, doc, Options{Format: FormatIgnition})
	if raw := inner(t, p.Data); bytes.Equal(raw, p.Data) || bytes.Contains(raw, []byte(`"compression":"gzip"`)) {
		t.Error("want one compressed config with plain files inside")
	}
	tiny := &Document{Target: "x", Variant: "flatcar", Version: "1.1.0", Files: []artifact.File{{Path: "/a", Contents: []byte("a")}}}
	if p := mustRender(t, tiny, Options{Format: FormatIgnition}); !bytes.Equal(inner(t, p.Data), p.Data) {
		t.Error("a tiny config is wrapped")
	}
}

func BenchmarkRender(b *testing.B) {
	doc := heavy()
	for _, format := range []string{FormatIgnition, FormatCloudInit} {
		b.Run(format, func(b *testing.B) {
			for b.Loop() {
				mustRender(b, doc, Options{Format: format})
			}
		})
	}
}
