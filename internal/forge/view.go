package forge

import (
	"encoding/json"
	"io"

	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/report"
)

// PlanView is a plan with what only a store can add to it.
type PlanView struct {
	Plan     *plan.Plan
	Warnings report.Report
	Sizes    []Size
	// NoSizes says why Sizes is empty.
	NoSizes string
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

// Plan makes the plan and, when the store can be opened, measures one payload per role and
// one node of each: the sizes of siblings differ by a few bytes only.
func (a *App) Plan(src Source) (*PlanView, error) {
	facts := storeFacts(src.storeDir())
	if src.Example != "" {
		facts = noFacts
	}
	c, err := a.load(src, facts)
	if err != nil {
		return nil, err
	}
	v := &PlanView{Plan: c.plan, Warnings: c.report}
	if src.Example != "" {
		v.NoSizes = "not measured for an example; `imgforge build --example` does"
		return v, nil
	}
	c, st, err := a.open(src)
	if err != nil {
		v.NoSizes = "not measured: " + err.Error()
		return v, nil
	}
	for _, r := range c.plan.Roles {
		if r.Slots == 0 {
			continue
		}
		first := c.plan.NodesOf(r.Name)[0].Name
		for _, t := range []struct{ role, node string }{{r.Name, ""}, {"", first}} {
			s, err := c.size(t.role, t.node, st)
			if err != nil {
				return nil, err
			}
			v.Sizes = append(v.Sizes, s)
		}
	}
	return v, nil
}

func (c *cluster) size(role, node string, s payload.Secrets) (Size, error) {
	doc, err := c.document(role, node, s)
	if err != nil {
		return Size{}, err
	}
	o := c.options("", false, nil)
	limit := o.Budget
	o.Budget.Bytes = 0 // measure even what does not fit
	p, err := payload.Render(doc, o)
	if err != nil {
		return Size{}, c.explain(err)
	}
	size := Size{Target: role + node, Format: c.plan.OS.Format, Bytes: len(p.Data), Counted: p.Sizes.Total, Limit: limit.Bytes}
	if size.Limit > 0 && size.Counted > size.Limit {
		size.Remedy = "--node, a baked image, or artifacts.url"
		if node != "" {
			size.Remedy = "a baked image, or artifacts.url"
		}
	}
	return size, nil
}

func encodePlan(w io.Writer, p *plan.Plan) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(p)
}
