package spec

import (
	"fmt"
	"net/netip"
)

// prefix parses a network that conforms; others have a problem of their own.
func prefix(s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	return p, err == nil && p.Addr().Is4() && p == p.Masked()
}

// address parses an IPv4 address.
func address(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	return a, err == nil && a.Is4()
}

// named is a network of the file that must not meet another.
type named struct {
	path, what string
	prefix     netip.Prefix
}

// networks checks the three networks of a cluster by size, by place and
// against each other.
func (k *check) networks() {
	var nets []named
	for _, n := range []struct {
		path, what, cidr string
		low, high        int
		why              string
	}{
		// kube-controller-manager gives out at most 2^16 node networks.
		{"kubernetes.podCIDR", "pods", k.Kubernetes.PodCIDR, 8, 24, "every node gets a /24 of it"},
		// kube-apiserver refuses more than 20 host bits; the tenth address is cluster DNS.
		{"kubernetes.serviceCIDR", "Services", k.Kubernetes.ServiceCIDR, 12, 28, "the API server takes no larger one, and cluster DNS is its tenth address"},
		{"network.cidr", "the nodes", k.Network.CIDR, 8, 29, "nodes, their reserve and the floating address need room"},
	} {
		p, ok := prefix(n.cidr)
		if !ok {
			continue
		}
		if p.Bits() < n.low || p.Bits() > n.high {
			k.err(n.path, fmt.Sprintf("%s has a prefix of /%d; %s", p, p.Bits(), n.why), fmt.Sprintf("write one of /%d to /%d", n.low, n.high))
		}
		if block, what := special(p); what != "" {
			k.err(n.path, fmt.Sprintf("%s meets %s, which is %s", p, block, what), "write a private network, as in 10.244.0.0/16")
		} else if n.path != "network.cidr" && !private(p) {
			k.warn(n.path, fmt.Sprintf("%s is not a private network: its public owners become unreachable from pods", p), "write a part of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")
		}
		nets = append(nets, named{n.path, n.what, p})
	}
	for i, a := range nets {
		for _, b := range nets[:i] {
			if a.prefix.Overlaps(b.prefix) {
				if !k.src.has(a.path) && k.src.has(b.path) {
					a, b = b, a
				}
				k.err(a.path, fmt.Sprintf("%s for %s overlaps %s for %s (%s)", a.prefix, a.what, b.prefix, b.what, b.path), "write networks that share no address")
			}
		}
	}
	k.podRoom()
	k.access(nets)
}

// special names the block that no cluster network may touch.
func special(p netip.Prefix) (block, what string) {
	for _, s := range [][2]string{
		{"127.0.0.0/8", "loopback"}, {"169.254.0.0/16", "link-local, where clouds serve metadata"},
		{"224.0.0.0/3", "multicast and reserved"}, {"0.0.0.0/8", "reserved"},
	} {
		if netip.MustParsePrefix(s[0]).Overlaps(p) {
			return s[0], s[1]
		}
	}
	return "", ""
}

// private covers RFC 1918, and the shared and benchmark ranges that clusters
// take when those are used up.
func private(p netip.Prefix) bool {
	for _, s := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15"} {
		if block := netip.MustParsePrefix(s); block.Bits() <= p.Bits() && block.Overlaps(p) {
			return true
		}
	}
	return false
}

// podRoom compares the slots with the /24 networks that podCIDR holds.
func (k *check) podRoom() {
	p, ok := prefix(k.Kubernetes.PodCIDR)
	if !ok || p.Bits() > 24 {
		return
	}
	slots, ok := k.slots()
	if !ok || slots > maxNodes {
		return
	}
	if room := 1 << (24 - p.Bits()); slots > room {
		need := p.Bits()
		for 1<<(24-need) < slots && need > 8 {
			need--
		}
		k.err(k.set("kubernetes.podCIDR", "roles.worker.count", "roles.master.count"), fmt.Sprintf("kubernetes.podCIDR %s holds %d networks of /24 for %d nodes, the reserve included", p, room, slots), fmt.Sprintf("write kubernetes.podCIDR with a prefix of /%d or shorter", need))
	}
}

// access checks who may reach the API from outside. Corporate networks may
// contain the cluster's own, but then some of their people cannot be answered.
func (k *check) access(nets []named) {
	for i, s := range k.Endpoint.Access {
		path := item("endpoint.access", i)
		p, ok := prefix(s)
		if !ok {
			continue
		}
		if p.Bits() == 0 {
			k.warn(path, "the API is open to the whole internet", "write the networks of the people who use it")
			continue
		}
		for _, n := range nets {
			inside := n.prefix.Bits() <= p.Bits()
			switch {
			case n.path == "network.cidr" || !n.prefix.Overlaps(p):
			case inside:
				k.err(path, fmt.Sprintf("%s lies inside %s for %s (%s), which is never outside", p, n.prefix, n.what, n.path), "write the networks of the people who use the API")
			default:
				k.warn(path, fmt.Sprintf("%s contains %s for %s (%s), whose people get no answer", p, n.prefix, n.what, n.path), "write smaller networks, or move "+n.path)
			}
		}
	}
}

// mesh checks the mesh against what surrounds it.
func (k *check) mesh() {
	n := k.Network
	if n.Mesh != "none" {
		if n.Gateway != "" {
			k.err("network.gateway", "a mesh has no gateway: the nodes keep that of their own network", "remove it, or write network.mesh: none")
		}
		if n.Mesh == "wireguard" && k.src.has("network.tincVersion") {
			k.warn("network.tincVersion", "there is no tinc with network.mesh wireguard", "remove it")
		}
		return
	}
	if len(n.Operators) > 0 {
		k.err("network.operators", "operators are mesh peers and network.mesh is none", "remove them and use endpoint.access, or write network.mesh: tinc")
	}
	for _, field := range []string{"network.port", "network.tincVersion"} {
		if k.src.has(field) {
			k.warn(field, "has no effect with network.mesh none", "remove it")
		}
	}
	k.gateway()
	for _, r := range k.roles() {
		k.ownAddresses(r)
	}
}

func (k *check) gateway() {
	net, ok := prefix(k.Network.CIDR)
	gw, ok2 := address(k.Network.Gateway)
	if !ok || !ok2 {
		return
	}
	switch {
	case !net.Contains(gw):
		k.err("network.gateway", fmt.Sprintf("%s lies outside network.cidr %s", gw, net), "write the router's address inside it")
	case gw == net.Addr() || gw == broadcast(net):
		k.err("network.gateway", fmt.Sprintf("%s is the network or broadcast address of %s", gw, net), "write the router's address")
	}
}

// ownAddresses reminds of addresses that only the network's DHCP server knows.
func (k *check) ownAddresses(r role) {
	if k.Network.Gateway != "" {
		return
	}
	missing := 0
	for i := range clamp(r.Count, 0, maxNodes) {
		if i >= len(r.Nodes) || r.Nodes[i].Address == "" {
			missing++
		}
	}
	if missing > 0 {
		k.warn(r.path, fmt.Sprintf("%d of %d nodes have no address, and without a mesh theirs comes from your network", missing, r.Count),
			fmt.Sprintf("write %s.nodes[].address, or network.gateway to have derived addresses set", r.path))
	}
}
