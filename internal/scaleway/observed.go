package scaleway

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Observed is what exists, as far as it concerns one cluster.
type Observed struct {
	Networks []Network // with the cluster's tag
	// Namesakes are the IDs of private networks that have the name and not the tag.
	Namesakes  []string
	Addresses  []Address
	Groups     []SeenGroup
	Placements []Placement
	IPs        []FlexibleIP // tagged ones, and those that the cluster names
	Volumes    []Volume
	Servers    []Server
	// Images and Snapshots are what was published of the cluster, where [Client.ObserveAll]
	// looked; Used are the IDs of images that servers of nobody's or another cluster were made from.
	Images    []SeenImage
	Snapshots []SeenSnapshot
	Used      map[string]bool
}

// Network is a private network.
type Network struct{ ID, Name string }

// Address is a booked address of the private network.
type Address struct {
	ID      string
	Address netip.Addr
	Node    string // "" for the floating address
	VIP     bool
}

// SeenGroup is a security group with its inbound rules.
type SeenGroup struct {
	ID    string
	Role  string
	Rules []Rule
}

// Placement is a placement group.
type Placement struct{ ID string }

// FlexibleIP is a public address.
type FlexibleIP struct {
	ID      string
	Address netip.Addr
	Ours    bool   // carries the cluster's tag
	Server  string // ID; "" when it is free
}

// Volume is a block volume of the cluster.
type Volume struct {
	ID, Name, Node string
	Server         string // ID; "" when it is not attached
}

// States of a server.
const (
	stateRunning  = "running"
	stateStopped  = "stopped"
	stateInPlace  = "stopped in place"
	stateStarting = "starting"
	stateStopping = "stopping"
)

// Server is one server of the cluster.
type Server struct {
	ID, Name, Node, Role string
	State                string
	Detail               string
	NIC                  bool   // has an interface in the private network
	Root                 string // ID of the root volume; "" for a local one
	// RootTagged tells that the root volume carries the cluster's tag.
	RootTagged bool
	// UserData is the fingerprint of what the server boots from, looked at only
	// while it is stopped.
	UserData string
	Made     time.Time // zero when the provider does not tell
	// Kept tells that user-data is still there although the node has booted from it.
	Kept bool
}

func (s Server) stopped() bool { return s.State == stateStopped || s.State == stateInPlace }

func (o *Observed) server(node string) *Server {
	for i := range o.Servers {
		if o.Servers[i].Node == node {
			return &o.Servers[i]
		}
	}
	return nil
}

func (o *Observed) serverByID(id string) *Server {
	for i := range o.Servers {
		if o.Servers[i].ID == id {
			return &o.Servers[i]
		}
	}
	return nil
}

func (o *Observed) address(node string, vip bool) *Address {
	for i := range o.Addresses {
		if a := &o.Addresses[i]; a.Node == node && a.VIP == vip {
			return a
		}
	}
	return nil
}

func (o *Observed) group(role string) *SeenGroup {
	for i := range o.Groups {
		if o.Groups[i].Role == role {
			return &o.Groups[i]
		}
	}
	return nil
}

func (o *Observed) volume(name string) *Volume {
	for i := range o.Volumes {
		if o.Volumes[i].Name == name {
			return &o.Volumes[i]
		}
	}
	return nil
}

func (o *Observed) ip(a netip.Addr) *FlexibleIP {
	for i := range o.IPs {
		if o.IPs[i].Address == a {
			return &o.IPs[i]
		}
	}
	return nil
}

func (o *Observed) ourIP() *FlexibleIP {
	for i := range o.IPs {
		if o.IPs[i].Ours {
			return &o.IPs[i]
		}
	}
	return nil
}

// Summary says in one line what exists.
func (o *Observed) Summary() string {
	running := 0
	for _, s := range o.Servers {
		if s.State == stateRunning {
			running++
		}
	}
	ours := 0
	for _, ip := range o.IPs {
		if ip.Ours {
			ours++
		}
	}
	var parts []string
	count := func(n int, thing string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+thing)
		case n > 1 && strings.HasSuffix(thing, "ss"):
			parts = append(parts, fmt.Sprintf("%d %ses", n, thing))
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, thing))
		}
	}
	count(len(o.Networks), "private network")
	count(len(o.Groups), "security group")
	count(len(o.Placements), "placement group")
	count(len(o.Addresses), "booked address")
	count(ours, "flexible IP")
	count(len(o.Volumes), "volume")
	if n := len(o.Servers); n > 0 {
		count(n, "server")
		parts[len(parts)-1] += fmt.Sprintf(" (%d running)", running)
	}
	count(len(o.Images), "image")
	count(len(o.Snapshots), "snapshot")
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// sameRules compares rules as sets.
func sameRules(a, b []Rule) bool {
	text := func(rules []Rule) []string {
		var out []string
		for _, r := range rules {
			out = append(out, r.String())
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return slices.Equal(text(a), text(b))
}

// String is a rule as people read it.
func (r Rule) String() string {
	port := strconv.Itoa(int(r.Port))
	if r.To > r.Port {
		port += "-" + strconv.Itoa(int(r.To))
	}
	return fmt.Sprintf("%s %s from %s", r.Proto, port, r.From)
}

func itoa(n int) string { return strconv.Itoa(n) }
