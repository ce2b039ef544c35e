package forge

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/report"
)

// PlanView is a plan with the sizes of its payloads.
type PlanView struct {
	Plan     *plan.Plan
	Warnings report.Report
	Sizes    []Size
	// Estimated says why placeholders were measured; empty when the sizes are
	// those that a build writes.
	Estimated string
}

// Size is one payload against the provider's limit, in bytes.
type Size struct {
	Target  string
	Format  string
	Bytes   int
	Counted int // as the provider counts: after base64 where it does
	Limit   int // 0: none
	Remedy  string
}

// Plan makes the plan and measures one payload per role and one node of each: the
// sizes of siblings differ by a few bytes only. Where the store cannot be opened,
// placeholders stand in for it.
func (a *App) Plan(src Source) (*PlanView, error) {
	if src.Example != "" {
		c, err := a.load(src, noFacts)
		if err != nil {
			return nil, err
		}
		return c.view(placeholdersFor(c.plan, c.spec.PKI.Algorithm), "an example has no store")
	}
	src, err := src.kept()
	if err != nil {
		return nil, err
	}
	c, err := a.load(src, storeFacts(src.storeDir()))
	if err != nil {
		return nil, err
	}
	opened, st, err := a.open(src)
	if err != nil {
		return c.view(placeholdersFor(c.plan, c.spec.PKI.Algorithm), err.Error())
	}
	return opened.view(st, "")
}

func (c *cluster) view(s payload.Secrets, estimated string) (*PlanView, error) {
	v := &PlanView{Plan: c.plan, Warnings: c.report, Estimated: estimated}
	v.Warnings.Add(c.distant()...)
	for _, r := range c.plan.Roles {
		if r.Slots == 0 {
			continue
		}
		first := c.plan.NodesOf(r.Name)[0].Name
		for _, t := range []struct{ role, node string }{{r.Name, ""}, {"", first}} {
			size, _, err := c.size(t.role, t.node, s)
			if err != nil {
				return nil, err
			}
			v.Sizes = append(v.Sizes, size)
		}
	}
	return v, nil
}

// size renders one payload as build does, and returns it with its size.
func (c *cluster) size(role, node string, s payload.Secrets) (Size, *payload.Payload, error) {
	doc, err := c.estimating().document(role, node, s)
	if err != nil {
		return Size{}, nil, err
	}
	o := c.options("", false, nil)
	o.Oversize = true
	p, err := payload.Render(doc, o)
	if err != nil {
		return Size{}, nil, c.explain(err)
	}
	size := Size{Target: role + node, Format: c.plan.OS.Format, Bytes: len(p.Data), Counted: p.Sizes.Total, Limit: o.Budget.Bytes}
	if size.over() {
		size.Remedy = c.remedy(node != "")
	}
	return size, p, nil
}

func (s Size) over() bool { return s.Limit > 0 && s.Counted > s.Limit }

// remedy names what makes a payload smaller and is not done yet.
func (c *cluster) remedy(isNode bool) string {
	var ways []string
	if !isNode {
		ways = append(ways, "--node")
	}
	if c.plan.Settings.ArtifactsURL == "" {
		ways = append(ways, "artifacts.url")
	}
	if !isNode && len(existing(c.plan)) < len(c.plan.Nodes) {
		ways = append(ways, "a lower reserve")
	}
	if len(ways) == 0 {
		return "a provider that takes more, or less in extra"
	}
	return strings.Join(ways, ", ")
}

func encodePlan(w io.Writer, p *plan.Plan) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(p)
}
