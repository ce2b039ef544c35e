package lab

import (
	"net/netip"
	"strings"

	"github.com/imgforge/imgforge/internal/plan"
)

// gateway is the switch's own address on the lab's own network, which stands for
// the provider's.
func gateway() netip.Prefix { return netip.MustParsePrefix("10.99.0.254/24") }

// gatewayOf is the switch's own address for a cluster: its file's, where nodes
// have no mesh and a network of their own.
func gatewayOf(p *plan.Plan) netip.Prefix {
	address, err := netip.ParseAddr(p.Network.Gateway)
	cidr, other := netip.ParsePrefix(p.Network.CIDR)
	if p.Network.Mesh != "none" || err != nil || other != nil {
		return gateway()
	}
	return netip.PrefixFrom(address, cidr.Bits())
}

// below is the address that the provider's DHCP would give to a node: none when
// the payload sets its own. One outside of the lab's network, such as a public
// one, stands alone, and everything is on the wire from there.
func (t *Trial) below(name string) netip.Prefix {
	if t.Plan.Network.Mesh == "none" {
		return netip.Prefix{}
	}
	for i, n := range t.Plan.Nodes {
		if n.Name != name {
			continue
		}
		host, _, _ := strings.Cut(n.Endpoint, ":")
		address, err := netip.ParseAddr(host)
		if err != nil {
			address = netip.AddrFrom4([4]byte{10, 99, byte(1 + i/200), byte(1 + i%200)})
			if i < 100 {
				address = netip.AddrFrom4([4]byte{10, 99, 0, byte(100 + i)})
			}
		}
		if gateway().Contains(address) {
			return netip.PrefixFrom(address, gateway().Bits())
		}
		return netip.PrefixFrom(address, address.BitLen())
	}
	return netip.Prefix{}
}

// operatorAddress is where the operator's machine is on the wire: the highest
// address of the gateway's network that nobody has.
func (t *Trial) operatorAddress() netip.Prefix {
	taken := map[netip.Addr]bool{t.wire.gateway.Addr(): true}
	taken[addressOf(t.Plan.Endpoint.Address)] = true
	for _, r := range t.Plan.Roles {
		taken[addressOf(r.PublicIP)] = true
	}
	for _, n := range t.Plan.Nodes {
		taken[addressOf(n.Address)], taken[addressOf(n.PublicIP)], taken[t.below(n.Name).Addr()] = true, true, true
	}
	network := t.wire.gateway.Masked()
	free := network.Addr()
	for a := network.Addr().Next().Next(); network.Contains(a.Next()) && a.Is4(); a = a.Next() {
		if !taken[a] {
			free = a
		}
		if a.As4()[3] == 0 && a.As4()[2] != network.Addr().As4()[2] {
			break // a large network has enough in its first part
		}
	}
	return netip.PrefixFrom(free, network.Bits())
}

// addressOf parses an address; the zero one is nobody's.
func addressOf(text string) netip.Addr {
	a, _ := netip.ParseAddr(text)
	return a
}

// names are what the network's DNS answers for: nodes by the names under which
// their peers look for them, and OutsideName.
func (t *Trial) names() map[string]netip.Addr {
	out := map[string]netip.Addr{OutsideName: t.wire.gateway.Addr()}
	for _, n := range t.Plan.Nodes {
		host, _, _ := strings.Cut(n.Endpoint, ":")
		if _, err := netip.ParseAddr(host); err != nil && host != "" && !n.Reserved {
			out[strings.ToLower(host)] = t.below(n.Name).Addr()
		}
	}
	return out
}

// metadataAddresses are those that the plan closes to pods.
func metadataAddresses(p *plan.Plan) (addresses []string) {
	for _, a := range p.Platform.Metadata {
		if prefix, err := netip.ParsePrefix(a); err == nil {
			a = prefix.Addr().String()
		}
		if address, err := netip.ParseAddr(a); err == nil && address.Is4() {
			addresses = append(addresses, a)
		}
	}
	return addresses
}
