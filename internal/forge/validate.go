package forge

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/report"
)

// rehearse renders one node of each role with placeholders and adds to the report
// what rendering refuses or warns of: the user's own Butane is merged and judged
// only there. A node's document holds every file and unit of its role's.
func (c *cluster) rehearse() error {
	secrets := placeholdersFor(c.plan, c.spec.PKI.Algorithm)
	for _, r := range c.plan.Roles {
		if r.Slots == 0 {
			continue
		}
		size, p, err := c.size("", c.plan.NodesOf(r.Name)[0].Name, secrets)
		if bad, ok := errors.AsType[*report.Invalid](err); ok {
			c.report.Add(bad.Report.Problems...)
			continue
		}
		if err != nil {
			return err
		}
		c.report.Add(c.problems(p.Warnings)...)
		if size.over() {
			c.report.Add(c.located(report.Problem{Severity: report.Warning, Path: "roles." + r.Name,
				Message: fmt.Sprintf("the payload of one %s is about %d bytes, and the provider takes %d", r.Name, size.Counted, size.Limit),
				Fix:     "what helps: " + size.Remedy}))
		}
	}
	c.report.Add(c.distant()...)
	c.report.Sort()
	return nil
}

// located gives a problem its place in the cluster file.
func (c *cluster) located(p report.Problem) report.Problem {
	r := report.Report{Problems: []report.Problem{p}}
	c.place.Locate(&r)
	return r.Problems[0]
}

// distant warns of what people outside of the cluster's networks cannot reach.
func (c *cluster) distant() []report.Problem {
	var out []report.Problem
	if p, ok := c.hiddenHubs(); ok {
		out = append(out, p)
	}
	if len(c.plan.Endpoint.Access) > 0 && publicHost(c) == "" {
		p := report.Problem{Severity: report.Warning, Path: "endpoint.access", Message: noPublicHost, Fix: writePublicHost}
		if len(c.plan.Operators) > 0 {
			p.Message += ", so `imgforge kubeconfig` names one inside the mesh"
		}
		out = append(out, c.located(p))
	}
	return out
}

// hiddenHubs warns of operators whose laptops find no hub to dial.
func (c *cluster) hiddenHubs() (report.Problem, bool) {
	hubs := c.hidden()
	if len(hubs) == 0 {
		return report.Problem{}, false
	}
	return c.located(report.Problem{Severity: report.Warning, Path: "network.operators",
		Message: fmt.Sprintf("a laptop outside of the private network cannot join: it dials %s, and %s resolves inside of it only",
			enumerate(hubs, 3), c.plan.Platform.PrivateDomain),
		Fix: "write roles.master.nodes[].publicIP of a master, or roles.master.nodes[].endpoint with a public name or address"}), true
}

// unreachable is hiddenHubs as lines for people.
func (c *cluster) unreachable() []string {
	if p, ok := c.hiddenHubs(); ok {
		return []string{p.String()}
	}
	return nil
}

// hidden are the endpoints that operators would dial, when all are names of the
// provider's private DNS.
func (c *cluster) hidden() []string {
	p := c.plan
	if len(p.Operators) == 0 || p.Platform.PrivateDomain == "" {
		return nil
	}
	var out []string
	hubs := slices.DeleteFunc(existing(p), func(n plan.Node) bool { return n.Endpoint == "" })
	for _, n := range hubs {
		host := n.Endpoint
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if n.PublicIP != "" || !strings.HasSuffix(host, "."+p.Platform.PrivateDomain) {
			return nil
		}
		out = append(out, host)
	}
	return out
}
