package forge

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/scaleway"
	"github.com/imgforge/imgforge/pki"
)

// atScaleway turns a plan into what is to exist there. Without a store the servers
// have nothing to boot from, which is enough to look at what exists and to remove it.
func (c *cluster) atScaleway(st *pki.Store) (*scaleway.Cluster, error) {
	p := c.plan
	if p.Platform.Provider != "scaleway" {
		return nil, invalidAt(c, "platform.provider", "servers are made at scaleway alone, and this is "+p.Platform.Provider, "use that provider's own tools, with what `imgforge build` writes")
	}
	network, err := c.privateNetwork()
	if err != nil {
		return nil, err
	}
	own := p.Platform.Scaleway
	out := &scaleway.Cluster{Name: p.Cluster, Zone: p.Platform.Zone, Network: network, Egress: own.Egress, Image: own.Image, RootSize: own.RootSize, DataSize: own.DataSize}
	if p.Network.Mesh == "none" { // else the nodes' addresses are the mesh's, and any will do below it
		out.Subnet = netip.MustParsePrefix(p.Network.CIDR).Masked()
		out.VIP, _ = netip.ParseAddr(p.Endpoint.Address)
	}
	for _, r := range p.Roles {
		if r.Count > 0 {
			out.Groups = append(out.Groups, scaleway.Group{Role: r.Name, Rules: publicRules(p, r.Name)})
		}
	}
	for _, n := range existing(p) {
		server, err := c.serverOf(n, st)
		if err != nil {
			return nil, err
		}
		out.Nodes = append(out.Nodes, server)
	}
	out.Edge, out.EdgeIP = edgeOf(p, out.Nodes)
	return out, nil
}

// privateNetwork is the name whose .internal is the domain that the plan counts on.
func (c *cluster) privateNetwork() (string, error) {
	name, ok := strings.CutSuffix(c.plan.Platform.PrivateDomain, ".internal")
	if !ok || strings.Contains(name, ".") {
		return "", invalidAt(c, "platform.privateDomain", fmt.Sprintf("%q is no domain that a private network has: that is its name and .internal", c.plan.Platform.PrivateDomain),
			"write "+c.plan.Cluster+".internal, or leave it out")
	}
	return name, nil
}

func (c *cluster) serverOf(n plan.Node, st *pki.Store) (scaleway.Node, error) {
	out := scaleway.Node{Name: n.Name, Role: n.Role, Slot: n.Slot, Type: n.Type, Apart: c.apart(n), Disks: disksOf(c.plan, n)}
	role, _ := c.plan.Role(n.Role)
	out.Image = role.Image
	out.PublicIP, _ = netip.ParseAddr(n.PublicIP)
	if c.plan.Network.Mesh == "none" {
		out.Address, _ = netip.ParseAddr(n.Address)
	}
	if st == nil {
		return out, nil
	}
	if out.Image != "" { // which holds the payload
		line, err := claimOf(st, n.Name)
		out.UserData = []byte(line + "\n")
		return out, err
	}
	doc, err := c.document("", n.Name, st)
	if err != nil {
		return out, err
	}
	p, err := payload.Render(doc, c.options("", false, st))
	if err != nil {
		return out, c.explain(err)
	}
	out.UserData = p.Data
	return out, nil
}

// apart tells which servers must not share a machine; one alone has nobody to share with.
func (c *cluster) apart(n plan.Node) bool {
	r, _ := c.plan.Role(n.Role)
	return n.Role == plan.Master && r.Count > 1
}

// disksOf names a node's data volumes in the order of their devices, which is the
// order in which they are attached.
func disksOf(p *plan.Plan, n plan.Node) []string {
	devices := map[string]string{}
	if n.DataDisk != "" {
		devices[n.DataDisk] = n.Name + "-data"
	}
	if n.Role == plan.Master && p.Etcd.DataDisk != "" {
		devices[p.Etcd.DataDisk] = n.Name + "-etcd"
	}
	var out []string
	for _, device := range slices.Sorted(maps.Keys(devices)) {
		out = append(out, devices[device])
	}
	return out
}

// publicRules is what a role lets in from outside. The mesh runs in the private
// network, which no security group filters; only people's laptops dial it from outside.
func publicRules(p *plan.Plan, role string) []scaleway.Rule {
	anyone := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	var access []netip.Prefix
	for _, a := range p.Endpoint.Access {
		if prefix, err := netip.ParsePrefix(a); err == nil {
			access = append(access, prefix.Masked())
		}
	}
	dialled := len(p.Operators) > 0 && slices.ContainsFunc(p.NodesOf(role), func(n plan.Node) bool { return n.PublicIP != "" })
	var out []scaleway.Rule
	for _, port := range p.Ports {
		from := map[string][]netip.Prefix{"world": anyone, "access": access}[port.From]
		if port.From == "underlay" && dialled {
			from = anyone
		}
		if port.Role != role || port.Proto != "tcp" && port.Proto != "udp" {
			continue
		}
		for _, f := range from {
			out = append(out, scaleway.Rule{Proto: strings.ToUpper(port.Proto), Port: uint32(port.Port), To: uint32(port.To), From: f})
		}
	}
	return out
}

// edgeOf is the role that one flexible address moves within; none when its nodes
// have addresses of their own.
func edgeOf(p *plan.Plan, nodes []scaleway.Node) (string, netip.Addr) {
	r, ok := p.Role(plan.Proxy)
	if !ok || r.Count == 0 {
		return "", netip.Addr{}
	}
	shared, err := netip.ParseAddr(r.PublicIP)
	if err != nil && slices.ContainsFunc(nodes, func(n scaleway.Node) bool { return n.Role == plan.Proxy && n.PublicIP.IsValid() }) {
		return "", netip.Addr{}
	}
	return plan.Proxy, shared
}
