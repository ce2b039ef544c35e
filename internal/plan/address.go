package plan

import (
	"fmt"
	"net/netip"

	"github.com/imgforge/imgforge/internal/report"
	"github.com/imgforge/imgforge/internal/spec"
)

// Addresses follow from role and slot alone: every role has a range of its own
// in network.cidr, so growing one never moves another. Counted from the network
// address:
//
//	prefix    masters  proxies  workers
//	/8 - /22  11-30    31-255   from 257
//	/23       11-30    31-100   from 101
//	/24, /25  11-30    31-50    from 51
//	/26       5-13     14-19    from 20
//	/27       2-10     11-13    from 14
//
// Operators come down from the top through the last sixteenth, which workers leave
// alone. The first addresses are left to gateways, the last usable one to the VIP.
type span struct{ first, last int }

func (s span) size() int { return max(0, s.last-s.first+1) }

// longestPrefix is the smallest network that addresses are derived in.
const longestPrefix = 27

// spanOf is the range of a role, or of operators, in a network with that prefix length.
func spanOf(role string, prefix int) span {
	if prefix > longestPrefix || prefix < 8 {
		return span{first: 1, last: 0}
	}
	hosts := 1 << (32 - prefix)
	operators := span{first: hosts - 2 - hosts/16, last: hosts - 3}
	starts := [3]int{11, 31, 51}
	switch {
	case prefix <= 22:
		starts = [3]int{11, 31, 257}
	case prefix == 23:
		starts = [3]int{11, 31, 101}
	case prefix == 26:
		starts = [3]int{5, 14, 20}
	case prefix == 27:
		starts = [3]int{2, 11, 14}
	}
	switch role {
	case Master:
		return span{first: starts[0], last: starts[1] - 1}
	case Proxy:
		return span{first: starts[1], last: min(starts[2]-1, 255)}
	case Worker:
		return span{first: starts[2], last: operators.first - 1}
	}
	return operators
}

// hostAddress is the address at that offset from the network address.
func hostAddress(network netip.Prefix, offset int) netip.Addr {
	b := network.Masked().Addr().As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	n += uint32(offset)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// lastUsable is the highest address that a host may have: the default VIP.
func lastUsable(network netip.Prefix) netip.Addr {
	return hostAddress(network, 1<<(32-network.Bits())-2)
}

// addressesOf gives every slot of a role its address: the listed one, else the
// slot's own in the range of the role.
func addressesOf(s roleSize, n Network, r *report.Report) []string {
	out := make([]string, s.slots)
	network, err := netip.ParsePrefix(n.CIDR)
	if err != nil || !network.Addr().Is4() {
		return out // reported by networkOf
	}
	room, needed := spanOf(s.name, network.Bits()), 0
	for i := range out {
		if a := listedNode(s, i).Address; a != "" {
			out[i] = a
			continue
		}
		needed = i + 1
		if i < room.size() {
			out[i] = hostAddress(network, room.first+i).String()
		}
	}
	if needed > room.size() {
		r.Add(exhausted(s, network, room.size(), needed))
	}
	return out
}

// exhausted names the prefix in which a role's slots would fit.
func exhausted(s roleSize, network netip.Prefix, room, needed int) report.Problem {
	p := report.Problem{
		Path:    "network.cidr",
		Message: fmt.Sprintf("%s has addresses for %d %s slots and %d are needed (count %d and reserve)", network, room, s.name, needed, s.count),
		Fix:     fmt.Sprintf("lower roles.%s.count or its reserve", s.name),
	}
	for bits := min(network.Bits()-1, longestPrefix); bits >= 8; bits-- {
		if spanOf(s.name, bits).size() >= needed {
			wider := netip.PrefixFrom(network.Addr(), bits).Masked()
			p.Fix = fmt.Sprintf("write a /%d, such as %s, or lower roles.%s.count or its reserve", bits, wider, s.name)
			break
		}
	}
	return p
}

// operatorsOf gives operators the highest addresses, in the order of the file,
// so that adding one at the end moves no other.
func operatorsOf(c *spec.Cluster, n Network, e Endpoint, r *report.Report) []Operator {
	if n.Mesh == "none" {
		return nil
	}
	network, err := netip.ParsePrefix(n.CIDR)
	if err != nil || !network.Addr().Is4() {
		return nil // reported by networkOf
	}
	room := spanOf("operator", network.Bits())
	next := room.last
	var out []Operator
	for i, name := range c.Network.Operators {
		for next >= room.first && hostAddress(network, next).String() == e.Address {
			next--
		}
		if next < room.first {
			r.Add(report.Problem{
				Path:    fmt.Sprintf("network.operators[%d]", i),
				Message: fmt.Sprintf("%s has addresses for %d operators", network, i),
				Fix:     "write a network.cidr with a shorter prefix, or fewer operators",
			})
			break
		}
		out = append(out, Operator{Name: name, MeshName: meshName(name), Address: hostAddress(network, next).String()})
		next--
	}
	return out
}

// checkAddresses refuses an address that two own, the VIP and the gateway included.
func checkAddresses(c *spec.Cluster, p *Plan, r *report.Report) {
	network, err := netip.ParsePrefix(p.Network.CIDR)
	if err != nil {
		return // reported by networkOf
	}
	owner := map[string]string{}
	if p.Network.Gateway != "" {
		owner[p.Network.Gateway] = "the gateway"
	}
	for _, o := range p.Operators {
		owner[o.Address] = "operator " + o.Name
	}
	for _, n := range p.Nodes {
		if n.Address == "" {
			continue
		}
		path := nodePath(c, n, "address")
		if a, err := netip.ParseAddr(n.Address); err != nil || !network.Contains(a) {
			r.Add(report.Problem{Path: path, Message: fmt.Sprintf("%s is outside network.cidr %s", n.Address, network), Fix: "write an address inside it"})
			continue
		}
		if other, taken := owner[n.Address]; taken {
			r.Add(report.Problem{
				Path: path, Message: fmt.Sprintf("%s of %s is already the address of %s", n.Address, n.Name, other),
				Fix: "write an address that nobody has, or leave it out",
			})
			continue
		}
		owner[n.Address] = n.Name
	}
	if other, taken := owner[p.Endpoint.Address]; taken && p.Endpoint.Address != "" {
		r.Add(report.Problem{
			Path: "endpoint.address", Message: fmt.Sprintf("%s is the address of %s; a floating address belongs to no node", p.Endpoint.Address, other),
			Fix: fmt.Sprintf("write a free address, such as %s", freeVIP(network, owner)),
		})
	}
}

// freeVIP is the highest usable address that nobody has.
func freeVIP(network netip.Prefix, owner map[string]string) string {
	a := lastUsable(network)
	for owner[a.String()] != "" && network.Contains(a) {
		a = a.Prev()
	}
	return a.String()
}
