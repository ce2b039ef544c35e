package scaleway

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// conflicts finds everything that stands in the way and that only people can decide.
func conflicts(c *Cluster, o *Observed) error {
	var all []error
	found := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	tag := ClusterTag + c.Name
	if len(o.Networks) > 1 {
		found("%d private networks carry the tag %s: remove the tag from all but one", len(o.Networks), tag)
	}
	if len(o.Networks) == 0 && len(o.Namesakes) > 0 {
		found("there is a private network %q without the tag %s, and its name is the domain in which nodes find each other: give it the tag to have it used (and removed by `imgforge down`), or another name", c.Network, tag)
	}
	for _, name := range slices.Sorted(maps.Keys(doubles(o))) {
		found("%d objects are %s of this cluster, and one is wanted: look at them in the console and remove the others", doubles(o)[name], name)
	}
	for _, s := range o.Servers {
		if s.Node == "" {
			found("server %q carries the tag %s and none that starts with %s: add it, or remove the first", s.Name, tag, NodeTag)
		}
	}
	for _, n := range c.Nodes {
		all = append(all, nodeConflicts(c, o, n)...)
	}
	if a := o.address("", true); a != nil && c.VIP.IsValid() && a.Address != c.VIP {
		found("the floating address is booked as %s and the cluster file says %s: release the booked one", a.Address, c.VIP)
	}
	if c.EdgeIP.IsValid() {
		all = append(all, publicConflict(o, c.EdgeIP, "role "+c.Edge)...)
	}
	return errors.Join(all...)
}

func nodeConflicts(c *Cluster, o *Observed, n Node) (all []error) {
	if o.server(n.Name) == nil {
		if n.Type == "" {
			all = append(all, fmt.Errorf("%s has no machine type: write roles.%s.type, such as one that `scw instance server-type list zone=%s` names", n.Name, n.Role, c.Zone))
		}
		if c.image(n) == "" {
			all = append(all, fmt.Errorf("%s has no image to boot from: write roles.%s.image, the ID of one that you published, or platform.scaleway.image, an ID in %s or a label of the marketplace", n.Name, n.Role, c.Zone))
		}
	}
	if a := o.address(n.Name, false); a != nil && n.Address.IsValid() && a.Address != n.Address {
		all = append(all, fmt.Errorf("%s has %s booked and the cluster file says %s: release the booked one, after removing its server if there is one", n.Name, a.Address, n.Address))
	}
	if n.PublicIP.IsValid() {
		all = append(all, publicConflict(o, n.PublicIP, n.Name)...)
	}
	return all
}

// publicConflict checks that an address that you reserved is there and free, or
// already a server's of this cluster.
func publicConflict(o *Observed, a netip.Addr, whose string) []error {
	ip := o.ip(a)
	switch {
	case ip == nil:
		return []error{fmt.Errorf("%s, the public address of %s, is no flexible IP of this project and zone: reserve it there, or remove publicIP and have one made", a, whose)}
	case ip.Server != "" && o.serverByID(ip.Server) == nil:
		return []error{fmt.Errorf("%s, the public address of %s, is attached to a server that is not of this cluster: detach it first", a, whose)}
	}
	return nil
}

// doubles counts objects of which there must be one.
func doubles(o *Observed) map[string]int {
	seen := map[string]int{}
	for _, s := range o.Servers {
		if s.Node != "" {
			seen["server "+s.Node]++
		}
	}
	for _, a := range o.Addresses {
		if a.Node != "" || a.VIP {
			seen["the booked address of "+a.Node]++
		}
	}
	for _, g := range o.Groups {
		seen["security group of role "+g.Role]++
	}
	for _, v := range o.Volumes {
		if v.Name != rootName(v.Node) { // the root of a server that was replaced is only in the way of its owner
			seen["volume "+v.Name]++
		}
	}
	if n := len(o.Placements); n > 1 {
		seen["placement group"] = n
	}
	ours := 0
	for _, ip := range o.IPs {
		if ip.Ours {
			ours++
		}
	}
	seen["flexible IP"] = ours
	for name, n := range seen {
		if n < 2 {
			delete(seen, name)
		}
	}
	return seen
}
