package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/report"
	"github.com/imgforge/imgforge/internal/spec"
)

// Network is the mesh and its layers.
type Network struct {
	Mesh        string `json:"mesh"` // tinc | wireguard | none
	CIDR        string `json:"cidr"`
	PrefixLen   int    `json:"prefixLen"`
	Port        int    `json:"port,omitempty"`
	Interface   string `json:"interface"` // tinc: mesh0, wireguard: wg0, none: the nodes' own ("" = default route)
	NetName     string `json:"netName"`   // tinc net name and file stem
	TincVersion string `json:"tincVersion,omitempty"`
	Gateway     string `json:"gateway,omitempty"`
	MTU         MTU    `json:"mtu"`
	VRRPID      int    `json:"vrrpID,omitempty"`      // masters
	VRRPIDProxy int    `json:"vrrpIDProxy,omitempty"` // proxies
}

// wireguardPeerBytes is what a WireGuard peer costs in user-data: 44 characters
// of key that do not compress and about 40 of addresses that do, carried gzipped in
// base64. Peers may take half of a budget; certificates and the rest need the other.
const wireguardPeerBytes = 110

// networkOf decides the mesh and its layers.
func networkOf(c *spec.Cluster, r *report.Report) Network {
	n := Network{
		Mesh: c.Network.Mesh, CIDR: c.Network.CIDR, Port: c.Network.Port,
		Interface: c.Network.Interface, NetName: strings.ToLower(meshName(c.Name)),
		Gateway: c.Network.Gateway, MTU: mtuOf(c, r),
	}
	network, err := netip.ParsePrefix(n.CIDR)
	if err != nil || !network.Addr().Is4() {
		r.Add(report.Problem{Path: "network.cidr", Message: fmt.Sprintf("%q is not an IPv4 network", n.CIDR), Fix: "write one, such as 192.168.66.0/24"})
		return n
	}
	n.CIDR, n.PrefixLen = network.Masked().String(), network.Bits()
	switch n.Mesh {
	case "tinc":
		n.Interface, n.TincVersion = "mesh0", c.Network.TincVersion
		if n.Port == 0 {
			n.Port = 655
		}
	case "wireguard":
		n.Interface = "wg0"
		if n.Port == 0 {
			n.Port = 51820
		}
	case "none":
		n.Port = 0
	}
	return n
}

// connect gives every node its endpoint and its peers.
func connect(c *spec.Cluster, sizes []roleSize, p *Plan, r *report.Report) {
	if p.Network.Mesh == "none" {
		return
	}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		n.MeshName = meshName(n.Name)
		n.Endpoint = meshEndpoint(c, p, *n)
		n.Hub = n.Endpoint != ""
	}
	// Nobody needs a hub who has nobody to talk to.
	if master := p.NodesOf(Master); len(p.Nodes)+len(p.Operators) > 1 && !slices.ContainsFunc(master, func(n Node) bool { return n.Hub }) {
		r.Add(report.Problem{
			Path:    "roles.master.nodes",
			Message: fmt.Sprintf("no master has an endpoint, so no node can reach the first one through mesh %s", p.Network.Mesh),
			Fix:     "write roles.master.nodes[0].endpoint, a name or address that the others reach",
		})
	}
	if p.Network.Mesh == "wireguard" {
		checkPeerBudget(p, r)
	}
	if r.Errors() > 0 {
		return // a full mesh of a refused plan would only cost memory
	}
	setPeers(p, sizes)
}

// meshEndpoint is where peers reach a node: what the user wrote, else its name in
// the provider's private DNS, which every node of a full mesh needs and of a
// switched one only the masters.
func meshEndpoint(c *spec.Cluster, p *Plan, n Node) string {
	if listed := listedEndpoint(c, n); listed != "" {
		return listed
	}
	if p.Platform.PrivateDomain != "" && (n.Role == Master || p.Network.Mesh == "wireguard") {
		return n.Name + "." + p.Platform.PrivateDomain
	}
	return ""
}

func listedEndpoint(c *spec.Cluster, n Node) string {
	role := roleSpec(c, n.Role)
	if n.Slot <= len(role.Nodes) {
		return role.Nodes[n.Slot-1].Endpoint
	}
	return ""
}

// checkPeerBudget refuses a full mesh whose peers cannot fit user-data. It
// estimates; the payload itself is measured when it is rendered.
func checkPeerBudget(p *Plan, r *report.Report) {
	limit, bounded := peerLimit(p.Platform.Budget)
	if peers := len(p.Nodes) + len(p.Operators) - 1; bounded && peers > limit {
		r.Add(report.Problem{
			Path: "network.mesh",
			Message: fmt.Sprintf("wireguard gives every node %d peers, the reserve included, and %d bytes of user-data hold about %d",
				peers, p.Platform.Budget.Bytes, limit),
			Fix: "write mesh: tinc, where only hubs carry all peers, or lower counts and reserves",
		})
	}
}

// peerLimit is how many WireGuard peers a budget holds.
func peerLimit(b Budget) (peers int, bounded bool) {
	if b.Bytes == 0 {
		return 0, false
	}
	room := b.Bytes
	if b.Base64 {
		room = room / 4 * 3
	}
	return room / 2 / wireguardPeerBytes, true
}

// setPeers decides whom each node knows and whom it dials, hubs first. In tinc a
// spoke knows the hubs alone: a new spoke then changes no other spoke. Nobody dials
// a reserved hub: it dials the others when it comes, and until then tincd, which
// resolves names in its only thread, would stand still for each look-up of a name that
// a silent resolver does not answer.
func setPeers(p *Plan, sizes []roleSize) {
	var hubs, dialled, others []string
	for _, n := range p.Nodes {
		if !n.Hub {
			others = append(others, n.Name)
			continue
		}
		hubs = append(hubs, n.Name)
		if p.Network.Mesh != "tinc" || n.Slot <= foundingOf(sizes, n.Role) {
			dialled = append(dialled, n.Name)
		}
	}
	for _, o := range p.Operators {
		others = append(others, o.Name)
	}
	all := slices.Concat(hubs, others)
	for i := range p.Nodes {
		n := &p.Nodes[i]
		n.Dials = without(dialled, n.Name)
		if n.Hub || p.Network.Mesh == "wireguard" {
			n.Peers = without(all, n.Name)
		} else {
			n.Peers = without(hubs, n.Name)
		}
	}
}

// foundingOf is the anchored count of a role.
func foundingOf(sizes []roleSize, role string) int {
	for _, s := range sizes {
		if s.name == role {
			return s.founding
		}
	}
	return 0
}

// without is a copy of list that lacks name.
func without(list []string, name string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		if s != name {
			out = append(out, s)
		}
	}
	return out
}
