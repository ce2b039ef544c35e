package forge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/report"
	"github.com/imgforge/imgforge/pki"
	"github.com/imgforge/imgforge/profiles"
)

// RenderOptions choose one payload. Exactly one of Role and Node is set.
type RenderOptions struct {
	Source Source
	Role   string
	Node   string
	// Format is ignition, cloud-init or butane; "" is what the OS reads.
	Format string
	Sealed bool
}

// Rendered is one payload as printed.
type Rendered struct {
	Data     []byte
	Warnings report.Report
}

// Render makes one payload. It opens the store with the leaf identity alone.
func (a *App) Render(_ context.Context, o RenderOptions) (*Rendered, error) {
	if err := checkFormat(o.Format); err != nil {
		return nil, err
	}
	c, st, err := a.open(o.Source)
	if err != nil {
		return nil, err
	}
	if err := c.findPrograms(o.Source, st); err != nil {
		return nil, err
	}
	doc, err := c.document(o.Role, o.Node, st)
	if err != nil {
		return nil, err
	}
	p, err := payload.Render(doc, c.options(o.Format, o.Sealed, st))
	if err != nil {
		return nil, c.explain(err)
	}
	res := &Rendered{Data: p.Data, Warnings: c.report}
	res.Warnings.Add(c.problems(p.Warnings)...)
	if o.Role != "" && !o.Sealed {
		res.Warnings.Add(exposure(c, o.Role)...)
	}
	return res, nil
}

// open loads a source with its store, and insists that the store holds all the
// plan needs: nothing is issued behind the user's back.
func (a *App) open(src Source) (*cluster, *pki.Store, error) {
	c, st, err := a.openStore(src)
	if err != nil {
		return nil, nil, err
	}
	missing, err := st.Missing(c.plan)
	if err != nil {
		return nil, nil, err
	}
	if len(missing) > 0 {
		return nil, nil, lacking(c.dir, missing)
	}
	if err := a.checkAge(c); err != nil {
		return nil, nil, err
	}
	return c, st, nil
}

// soon is how long before the end of a leaf its artifacts deserve a word.
const soon = 30 * 24 * time.Hour

// checkAge refuses to make artifacts that could not boot, and warns of those
// that soon cannot.
func (a *App) checkAge(c *cluster) error {
	end, err := time.Parse(time.RFC3339, c.plan.LatestBoot)
	if err != nil {
		return nil // nothing issued yet: found missing before
	}
	left := end.Sub(a.Now())
	if left <= 0 {
		return fmt.Errorf("a certificate of the store at %s ended on %s, so nothing made from it can boot: run `imgforge pki renew` with the authority identity", c.dir, c.plan.LatestBoot)
	}
	if left < soon {
		c.report.Add(report.Problem{Severity: report.Warning, File: c.file, Message: "artifacts made today cannot boot after " + c.plan.LatestBoot,
			Fix: "run `imgforge pki renew` with the authority identity"})
	}
	return nil
}

// lacking says what the store does not have as the cluster file needs it, and
// each command that helps.
func lacking(dir string, missing []pki.Change) error {
	var what, fixes []string
	for _, m := range missing {
		what = append(what, m.String())
		if !slices.Contains(fixes, m.Fix) {
			fixes = append(fixes, m.Fix)
		}
	}
	return fmt.Errorf("the store at %s lacks what this cluster file needs (%s): %s with the authority identity, and commit the store",
		dir, enumerate(what, 3), strings.Join(fixes, " and "))
}

// enumerate names the first few of a list and counts the rest.
func enumerate(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// document is what a role or a node boots from, the programs that it fetches included.
func (c *cluster) document(role, node string, s payload.Secrets) (*payload.Document, error) {
	doc, err := c.configuration(role, node, s)
	if err != nil {
		return nil, err
	}
	return doc, c.withPrograms(doc)
}

// configuration asks the profiles for a role's or a node's document and places the
// user's own Butane at its line of the cluster file.
func (c *cluster) configuration(role, node string, s payload.Secrets) (*payload.Document, error) {
	var doc *payload.Document
	var err error
	if node != "" {
		if _, ok := c.plan.Node(node); !ok {
			return nil, c.noSuchNode(node)
		}
		doc, err = profiles.Node(c.plan, node, s)
	} else {
		if r, ok := c.plan.Role(role); !ok || r.Slots == 0 {
			return nil, c.noSuchRole(role)
		}
		doc, err = profiles.Role(c.plan, role, s)
	}
	if err != nil {
		return nil, err
	}
	for i := range doc.Extra {
		doc.Extra[i].File = c.file
		doc.Extra[i].Line = c.place.Block(doc.Extra[i].Path)
	}
	return doc, nil
}

func (c *cluster) noSuchNode(name string) error {
	names := make([]string, 0, len(c.plan.Nodes))
	for _, n := range c.plan.Nodes {
		names = append(names, n.Name)
	}
	return invalid(c.file, fmt.Sprintf("there is no node %q", name), "the nodes are "+enumerate(names, 12))
}

func (c *cluster) noSuchRole(name string) error {
	var names []string
	for _, r := range c.plan.Roles {
		if r.Slots > 0 {
			names = append(names, r.Name)
		}
	}
	return invalid(c.file, fmt.Sprintf("there is no role %q with nodes", name), "the roles are "+strings.Join(names, ", "))
}

func invalid(file, message, fix string) error {
	return &report.Invalid{Report: report.Report{Problems: []report.Problem{{File: file, Message: message, Fix: fix}}}}
}

// invalidAt is a problem of the cluster file that only this command minds.
func invalidAt(c *cluster, path, message, fix string) error {
	r := report.Report{Problems: []report.Problem{{Path: path, Message: message, Fix: fix}}}
	c.place.Locate(&r)
	return r.Err()
}

// options are the rendering options that the plan decides.
func (c *cluster) options(format string, sealed bool, st *pki.Store) payload.Options {
	if format == "" {
		format = c.plan.OS.Format
	}
	o := payload.Options{
		Format:       format,
		Budget:       payload.Budget{Bytes: c.plan.Platform.Budget.Bytes, Base64: c.plan.Platform.Budget.Base64},
		ArtifactsURL: c.plan.Settings.ArtifactsURL,
	}
	if format == payload.FormatButane {
		o.Budget = payload.Budget{} // for people and for butane: no machine boots it
	}
	if sealed {
		o.Seal = func(node string) ([32]byte, error) { return claimKey(st, node) }
	}
	return o
}

// exposure says what a role payload in the clear shows to the nodes of the role.
func exposure(c *cluster, role string) []report.Problem {
	if role == "master" || len(c.plan.NodesOf(role)) < 2 {
		return nil
	}
	return []report.Problem{{Severity: report.Warning, Message: fmt.Sprintf("this payload lets every %s read the keys of the other %ss at first boot", role, role),
		Fix: "print one per node with --node, or seal the slots with --sealed and give each server its line of `imgforge claims`"}}
}

// problems turns what rendering found into located problems.
func (c *cluster) problems(found []payload.Problem) []report.Problem {
	out := make([]report.Problem, 0, len(found))
	for _, f := range found {
		sev := report.Error
		if f.Warning {
			sev = report.Warning
		}
		out = append(out, report.Problem{Severity: sev, File: f.File, Line: f.Line, Col: f.Col, Path: f.Path, Message: f.Message, Fix: f.Fix})
	}
	r := report.Report{Problems: out}
	c.place.Locate(&r)
	return r.Problems
}

// explain gives an error of rendering its place in the cluster file, where the
// file is what must change.
func (c *cluster) explain(err error) error {
	if bad, ok := errors.AsType[*payload.Invalid](err); ok {
		return (&report.Report{Problems: c.problems(bad.Problems)}).Err()
	}
	return err
}

// formats lists what render can print; the first is the default of most systems.
func formats() []string {
	return []string{payload.FormatIgnition, payload.FormatCloudInit, payload.FormatButane}
}

// checkFormat refuses an unknown format before anything is opened.
func checkFormat(f string) error {
	if f == "" || slices.Contains(formats(), f) {
		return nil
	}
	return invalid("", fmt.Sprintf("there is no format %q", f), "write one of "+strings.Join(formats(), ", "))
}

// existing lists the nodes that are to exist today, reserved slots left out.
func existing(p *plan.Plan) []plan.Node {
	var out []plan.Node
	for _, n := range p.Nodes {
		if !n.Reserved {
			out = append(out, n)
		}
	}
	return out
}
