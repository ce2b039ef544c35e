package scaleway

import (
	"fmt"
	"net/netip"
)

// Up lists, in order, what must happen so that what is wanted exists. It touches
// nothing that exists and fits: no running server is ever changed.
func Up(c *Cluster, o *Observed) ([]Change, error) {
	if err := conflicts(c, o); err != nil {
		return nil, err
	}
	u := &upward{cluster: c, seen: o}
	u.around()
	for _, n := range c.Nodes {
		u.node(n)
	}
	u.edge()
	for _, n := range c.Nodes {
		u.boot(n)
	}
	u.list = append(u.list, u.waits...)
	return u.list, nil
}

type upward struct {
	cluster *Cluster
	seen    *Observed
	list    []Change
	waits   []Change
}

func (u *upward) add(k Kind, name, of, detail string) {
	u.list = append(u.list, Change{Kind: k, Name: name, Of: of, Detail: detail})
}

// around lists what servers need before they can be made.
func (u *upward) around() {
	c := u.cluster
	if len(u.seen.Networks) == 0 {
		detail := "addresses by the provider"
		if c.Subnet.IsValid() {
			detail = c.Subnet.String()
		}
		u.add(CreateNetwork, c.Network, "", detail)
	}
	for _, g := range c.Groups {
		u.group(g)
	}
	if u.apart() && len(u.seen.Placements) == 0 {
		u.add(CreatePlacement, c.placementName(), "", "each server on a machine of its own")
	}
	if c.VIP.IsValid() && u.seen.address("", true) == nil {
		u.add(BookAddress, c.VIP.String(), "", "the floating address")
	}
	for _, n := range c.Nodes {
		if u.seen.address(n.Name, false) == nil {
			u.add(BookAddress, "for "+n.Name, n.Name, addressText(n.Address))
		}
	}
	if c.Edge != "" && !c.EdgeIP.IsValid() && u.seen.ourIP() == nil {
		u.add(CreateIP, "for role "+c.Edge, "", "")
	}
}

func (u *upward) group(g Group) {
	name := u.cluster.groupName(g.Role)
	seen := u.seen.group(g.Role)
	if seen == nil {
		u.add(CreateGroup, name, g.Role, "lets nothing in")
	}
	if seen == nil && len(g.Rules) == 0 || seen != nil && sameRules(seen.Rules, g.Rules) {
		return
	}
	detail := "nothing"
	for i, r := range g.Rules {
		if i == 0 {
			detail = r.String()
			continue
		}
		detail += ", " + r.String()
	}
	u.add(SetRules, name, g.Role, "let in: "+detail)
}

// apart tells whether servers are still to be made in the placement group.
func (u *upward) apart() bool {
	for _, n := range u.cluster.Nodes {
		if n.Apart && u.seen.server(n.Name) == nil {
			return true
		}
	}
	return false
}

// node lists what makes one server whole while it is off.
func (u *upward) node(n Node) {
	s := u.seen.server(n.Name)
	if s == nil {
		u.add(CreateServer, n.Name, n.Name, fmt.Sprintf("%s, image %s, %d GB, off", n.Type, u.cluster.image(n), u.cluster.RootSize))
	}
	if s == nil || s.Root != "" && !s.RootTagged {
		u.add(TagRoot, n.Name, n.Name, "")
	}
	for _, name := range n.Disks {
		v := u.seen.volume(name)
		if s != nil && !s.stopped() && v == nil {
			continue // its disks were decided when it was made
		}
		if v == nil {
			u.add(CreateVolume, name, n.Name, fmt.Sprintf("%d GB", u.cluster.DataSize))
		}
		if v == nil || v.Server == "" {
			u.add(AttachVolume, name, n.Name, "to "+n.Name)
		}
	}
	if s == nil || !s.NIC {
		u.add(CreateNIC, n.Name, n.Name, "")
	}
	if n.PublicIP.IsValid() {
		if ip := u.seen.ip(n.PublicIP); ip != nil && ip.Server == "" {
			u.list = append(u.list, Change{Kind: AttachIP, Name: n.Name, Of: n.Name, Detail: n.PublicIP.String(), ID: ip.ID})
		}
	}
}

// edge attaches the flexible address to the first node of its role when it is free.
// Where it is now is keepalived's business.
func (u *upward) edge() {
	c := u.cluster
	if c.Edge == "" {
		return
	}
	ip := u.seen.ourIP()
	if c.EdgeIP.IsValid() {
		ip = u.seen.ip(c.EdgeIP)
	}
	if ip != nil && ip.Server != "" {
		return
	}
	for _, n := range c.Nodes {
		if n.Role == c.Edge {
			change := Change{Kind: AttachIP, Name: n.Name, Of: n.Name}
			if ip != nil {
				change.ID, change.Detail = ip.ID, ip.Address.String()
			}
			u.list = append(u.list, change)
			return
		}
	}
}

// boot lists what lets a whole server boot. User-data comes first: a server that
// booted without it has used up its first boot.
func (u *upward) boot(n Node) {
	s := u.seen.server(n.Name)
	switch {
	case s != nil && s.State == stateRunning:
		if s.Kept && u.cluster.booted(s) {
			u.add(DeleteUserData, n.Name, n.Name, "its node is Ready")
		}
		return
	case s != nil && s.State == stateStarting:
		u.waits = append(u.waits, Change{Kind: AwaitRunning, Name: n.Name, Of: n.Name})
		return
	case s != nil && !s.stopped():
		u.add(AwaitStable, n.Name, n.Name, s.State)
		s = &Server{} // what it boots from is looked at once it is off
	}
	if s == nil || s.UserData != sum(n.UserData) {
		u.add(SetUserData, n.Name, n.Name, fmt.Sprintf("%d bytes", len(n.UserData)))
	}
	u.add(PowerOn, n.Name, n.Name, "")
	u.waits = append(u.waits, Change{Kind: AwaitRunning, Name: n.Name, Of: n.Name})
}

func addressText(a netip.Addr) string {
	if a.IsValid() {
		return a.String()
	}
	return "any"
}

// Extra names servers of the cluster that the cluster file does not know (any more).
func Extra(c *Cluster, o *Observed) []string {
	var out []string
	for _, s := range o.Servers {
		if _, ok := c.node(s.Node); !ok {
			out = append(out, s.Name)
		}
	}
	return out
}

// Loose names volumes of the cluster that no server uses.
func Loose(o *Observed) []string {
	var out []string
	for _, v := range o.Volumes {
		if v.Server == "" {
			out = append(out, v.Name)
		}
	}
	return out
}
