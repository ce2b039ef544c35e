package profiles

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/plan"
)

const nftablesPath = "/etc/imgforge/nftables.nft"

// podInterfaces are where flannel's pods come from: those of this node and,
// decapsulated, those of others.
const podInterfaces = `{ "cni0", "flannel.1" }`

// The range of NodePorts, kube-apiserver's default.
const (
	firstNodePort = 30000
	lastNodePort  = 32767
)

// firewall fills common/nftables.nft.tmpl. Rules are complete nftables rules.
type firewall struct {
	Sets      []nftSet
	Underlay  string // matches what does not come from the mesh; empty when there is none
	Input     []string
	Published []string
	Pods      []string // rules that let pods reach out and be reached
	Metadata4 bool
	Metadata6 bool

	mesh string // matches what comes from the mesh's interface
}

// nftSet is a named set of networks of one family.
type nftSet struct {
	Name, Type string
	Elements   []string
}

// sharedFirewall adds the one table of ours and the unit that loads it before
// the network is up. It is the same on every node of a role, so that it stands
// before, and without, a claim.
func sharedFirewall(s *shared) error {
	fw, err := newFirewall(s.plan, s.role.Name)
	if err != nil {
		return err
	}
	if err := s.fill(nftablesPath, 0o600, "common/nftables.nft", fw); err != nil {
		return err
	}
	return s.butane("common/firewall", map[string]string{"Firewall": unitFirewall, "Rules": nftablesPath})
}

// newFirewall turns the plan's ports into rules.
func newFirewall(p *plan.Plan, role string) (*firewall, error) {
	fw := &firewall{Pods: podRules(p)}
	if names := meshInterfaces(p); len(names) > 0 {
		fw.mesh = "iifname { " + strings.Join(names, ", ") + " } "
	}
	for _, set := range []struct {
		name     string
		networks []string
	}{
		{"masters", addresses(p.NodesOf("master"))},
		{"proxies", addresses(p.NodesOf("proxy"))},
		{"access", p.Endpoint.Access},
		{"metadata", p.Platform.Metadata},
	} {
		sets, err := nftSets(set.name, set.networks)
		if err != nil {
			return nil, err
		}
		fw.Sets = append(fw.Sets, sets...)
	}
	fw.Metadata4, fw.Metadata6 = fw.has("metadata4"), fw.has("metadata6")
	if p.Network.Mesh != "none" {
		fw.Underlay = underlay(p)
	}
	if p.Kubernetes.ProxyMode == "ipvs" {
		// IPVS takes Service addresses for the node's own and so through input.
		fw.Input = append(fw.Input, fmt.Sprintf(`%sip daddr %s accept comment "Services"`, fromPods(p), p.Kubernetes.ServiceCIDR))
	}
	for _, port := range p.Ports {
		if port.Role != role {
			continue
		}
		matches, err := fw.from(p, port.From)
		if err != nil {
			return nil, err
		}
		for _, from := range matches {
			rule, published := portRules(port, from)
			fw.Input = append(fw.Input, rule)
			if published != "" {
				fw.Published = append(fw.Published, published)
			}
		}
	}
	return fw, nil
}

// underlay matches what comes from outside: neither from the mesh nor from pods.
func underlay(p *plan.Plan) string {
	inside := []string{fmt.Sprintf("%q", p.Network.Interface)}
	if p.Addons.CNI == "flannel" {
		inside = append(inside, `"cni0"`, `"flannel.1"`)
	}
	return "iifname != { " + strings.Join(inside, ", ") + " } "
}

// portRules are the rule that opens a listener and, for a NodePort, the one that
// opens it where kube-proxy has already rewritten it to a pod's address and port.
func portRules(port plan.Port, from string) (input, published string) {
	note := fmt.Sprintf("accept comment %q", strings.ReplaceAll(port.For, `"`, "'"))
	if port.Proto == "vrrp" {
		return from + "ip protocol 112 " + note, ""
	}
	ports := fmt.Sprint(port.Port)
	if port.To != 0 {
		ports += fmt.Sprintf("-%d", port.To)
	}
	input = fmt.Sprintf("%s%s dport %s %s", from, port.Proto, ports, note)
	if port.Port < firstNodePort || port.Port > lastNodePort {
		return input, ""
	}
	return input, fmt.Sprintf("%smeta l4proto %s ct original proto-dst %s %s", from, port.Proto, ports, note)
}

// from are the matches, each ending in a space, for where a port may be reached
// from. The mesh's interface is part of them, so that an address inside the
// mesh cannot be borrowed from outside it.
func (fw *firewall) from(p *plan.Plan, from string) ([]string, error) {
	switch from {
	case "world":
		return []string{""}, nil
	case "underlay":
		return []string{fw.Underlay}, nil
	case "mesh":
		return []string{fw.mesh + "ip saddr " + p.Network.CIDR + " "}, nil
	case "masters", "proxies":
		return []string{fw.mesh + "ip saddr @" + from + "4 "}, nil
	case "pods":
		return []string{fromPods(p)}, nil
	case "access":
		var out []string
		if fw.has("access4") {
			out = append(out, "ip saddr @access4 ")
		}
		if fw.has("access6") {
			out = append(out, "ip6 saddr @access6 ")
		}
		return out, nil
	}
	return nil, fmt.Errorf("a port is open from %q, which is none of world, underlay, mesh, masters, proxies, pods and access", from)
}

func (fw *firewall) has(set string) bool {
	return slices.ContainsFunc(fw.Sets, func(s nftSet) bool { return s.Name == set })
}

// meshInterfaces are the quoted names of the interfaces that carry node
// addresses; none when the default route decides, at run time.
func meshInterfaces(p *plan.Plan) []string {
	if p.Network.Mesh != "none" {
		return []string{fmt.Sprintf("%q", p.Network.Interface)}
	}
	var out []string
	for i := range p.Nodes {
		name := fmt.Sprintf("%q", meshInterface(p.Network, p.Nodes[i]))
		if name == `""` {
			return nil
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// fromPods matches what pods send. Another CNI than ours names its interfaces
// as it likes, so that only the address tells.
func fromPods(p *plan.Plan) string {
	if p.Addons.CNI == "flannel" {
		return "iifname " + podInterfaces + " ip saddr " + p.Kubernetes.PodCIDR + " "
	}
	return "ip saddr " + p.Kubernetes.PodCIDR + " "
}

func podRules(p *plan.Plan) []string {
	rules := []string{fromPods(p) + "accept"}
	if p.Addons.CNI != "flannel" {
		rules = append(rules, fmt.Sprintf("ip saddr %s ip daddr %s ct status != dnat accept", p.Network.CIDR, p.Kubernetes.PodCIDR))
	}
	return rules
}

func addresses(nodes []plan.Node) []string {
	out := make([]string, 0, len(nodes))
	for _, n := range nodes {
		out = append(out, n.Address)
	}
	return out
}

// nftSets are the named sets of a list of addresses and networks: <name>4 and
// <name>6, each only where it has elements.
func nftSets(name string, networks []string) ([]nftSet, error) {
	four, six := nftSet{Name: name + "4", Type: "ipv4_addr"}, nftSet{Name: name + "6", Type: "ipv6_addr"}
	for _, n := range networks {
		prefix, err := netip.ParsePrefix(n)
		if a, notPrefix := netip.ParseAddr(n); notPrefix == nil {
			prefix, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("set %s of the firewall: %w", name, err)
		}
		set := &four
		if prefix.Addr().Is6() {
			set = &six
		}
		if prefix = prefix.Masked(); prefix.IsSingleIP() {
			set.Elements = append(set.Elements, prefix.Addr().String())
		} else {
			set.Elements = append(set.Elements, prefix.String())
		}
	}
	var out []nftSet
	for _, set := range []nftSet{four, six} {
		if len(set.Elements) > 0 {
			out = append(out, set)
		}
	}
	return out, nil
}
