package plan

import (
	"cmp"
	"fmt"
	"maps"

	"github.com/imgforge/imgforge/internal/report"
	"github.com/imgforge/imgforge/internal/spec"
)

// Role is one kind of node.
type Role struct {
	Name     string            `json:"name"`  // master | proxy | worker
	Count    int               `json:"count"` // nodes that exist
	Slots    int               `json:"slots"` // nodes that are prepared, the reserve included
	Taints   []Taint           `json:"taints,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	PublicIP string            `json:"publicIP,omitempty"`
	DataDisk string            `json:"dataDisk,omitempty"`
	RootDisk string            `json:"rootDisk,omitempty"`
	Type     string            `json:"type,omitempty"`
	Image    string            `json:"image,omitempty"` // sealed, by its ID at the provider
}

// Taint is a Kubernetes taint.
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"`
}

// Node is one slot, whether a machine fills it today or not.
type Node struct {
	Name     string `json:"name"`
	Role     string `json:"role"`
	Slot     int    `json:"slot"` // from 1
	Reserved bool   `json:"reserved,omitempty"`
	Address  string `json:"address"`            // inside Network.CIDR
	PodCIDR  string `json:"podCIDR,omitempty"`  // informative: allocated by the controller manager
	PublicIP string `json:"publicIP,omitempty"` // its own public address
	// MeshName is the node's name in tinc: hyphens become underscores.
	MeshName string `json:"meshName,omitempty"`
	Hub      bool   `json:"hub,omitempty"`
	// Endpoint is host[:port] at which peers reach it; "" for a node that only dials out.
	Endpoint string   `json:"endpoint,omitempty"`
	Peers    []string `json:"peers,omitempty"` // node and operator names its mesh configuration carries
	Dials    []string `json:"dials,omitempty"` // the peers it connects to, hubs first

	MAC       string            `json:"mac,omitempty"`
	Interface string            `json:"interface,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Type      string            `json:"type,omitempty"`
	RootDisk  string            `json:"rootDisk,omitempty"`
	DataDisk  string            `json:"dataDisk,omitempty"`
	Window    *Window           `json:"window,omitempty"`
	// VRRPPriority orders masters (and proxies): slot 1 first.
	VRRPPriority int `json:"vrrpPriority,omitempty"`
	// GUID and InstanceID are derived from cluster and node name.
	GUID       string `json:"guid"`
	InstanceID string `json:"instanceID"`
}

// Operator is a person's laptop in the mesh.
type Operator struct {
	Name     string `json:"name"`
	MeshName string `json:"meshName"`
	Address  string `json:"address"`
}

// The roles, in the order in which a plan lists them.
const (
	Master = "master"
	Proxy  = "proxy"
	Worker = "worker"
)

// roleSize is a role of the cluster file with its slots decided.
type roleSize struct {
	name string
	spec spec.Role
	// count is how many nodes exist, slots how many are prepared.
	count, slots int
	// founding is the count that data of other nodes may depend on: the anchored
	// one, so that raising the count within the reserve moves nothing.
	founding int
	// founders is how many of the first slots may found etcd.
	founders int
	// outgrown tells that an anchor exists and no longer holds.
	outgrown bool
}

// sizesOf decides the slots of all three roles, empty ones included.
func sizesOf(c *spec.Cluster, f Facts) []roleSize {
	out := []roleSize{{name: Master, spec: c.Roles.Master}, {name: Proxy, spec: c.Roles.Proxy}, {name: Worker, spec: c.Roles.Worker}}
	for i := range out {
		s := &out[i]
		reserve := 0
		if s.spec.Reserve != nil {
			reserve = *s.spec.Reserve
		}
		s.count, s.slots, s.founding = s.spec.Count, s.spec.Count+reserve, s.spec.Count
		s.founders = s.count
		a, anchored := f.Anchors[s.name]
		if !anchored {
			continue
		}
		// A count below it means that those nodes are given up, also as founders.
		s.founders = min(a.Founding, s.count)
		if a.holds(s.count, reserve) {
			s.slots, s.founding = a.Slots(), a.Count
		} else {
			s.outgrown = true
		}
	}
	return out
}

// checkFounders refuses fewer masters than founded etcd: its identity follows from
// them, so that payloads made then would take the cluster's own data for another's.
func checkFounders(c *spec.Cluster, f Facts, r *report.Report) {
	a, anchored := f.Anchors[Master]
	if !anchored || c.Roles.Master.Count >= a.Founding {
		return
	}
	p := report.Problem{
		Severity: report.Warning,
		Path:     "roles.master.count",
		Message:  fmt.Sprintf("%d is less than the %d masters that the first issue made founders; when these have founded etcd, masters that boot payloads made now refuse its data (code 513)", c.Roles.Master.Count, a.Founding),
		Fix:      fmt.Sprintf("write %d or more, unless no master has ever booted", a.Founding),
	}
	if c.Etcd.Founded {
		p.Severity, p.Fix = report.Error, fmt.Sprintf("write %d or more", a.Founding)
	}
	r.Add(p)
}

// slotsOf is the number of slots of one role.
func slotsOf(sizes []roleSize, role string) int {
	for _, s := range sizes {
		if s.name == role {
			return s.slots
		}
	}
	return 0
}

// rolesOf lists the roles that have slots.
func rolesOf(sizes []roleSize) []Role {
	alone := true // a master without any other node runs workloads itself
	for _, s := range sizes {
		if s.name != Master && s.founding > 0 {
			alone = false
		}
	}
	var out []Role
	for _, s := range sizes {
		if s.slots == 0 {
			continue
		}
		out = append(out, Role{
			Name: s.name, Count: s.count, Slots: s.slots,
			Taints: taintsOf(s, alone), Labels: maps.Clone(s.spec.Labels), PublicIP: s.spec.PublicIP,
			DataDisk: s.spec.DataDisk, RootDisk: s.spec.RootDisk, Type: s.spec.Type, Image: s.spec.Image,
		})
	}
	return out
}

func taintsOf(s roleSize, alone bool) []Taint {
	if s.spec.Taints == nil {
		switch {
		case s.name == Master && !alone:
			return []Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: "NoSchedule"}}
		case s.name == Proxy:
			return []Taint{{Key: "node-role.imgforge.io/proxy", Effect: "NoSchedule"}}
		}
		return nil
	}
	out := make([]Taint, 0, len(s.spec.Taints))
	for _, t := range s.spec.Taints {
		out = append(out, Taint{Key: t.Key, Value: t.Value, Effect: t.Effect})
	}
	return out
}

// nodesOf lists every slot of every role, by role and slot.
func nodesOf(c *spec.Cluster, sizes []roleSize, n Network, r *report.Report) []Node {
	var out []Node
	for _, s := range sizes {
		if extra := len(s.spec.Nodes) - s.slots; extra > 0 {
			r.Add(report.Problem{
				Path:    fmt.Sprintf("roles.%s.nodes[%d]", s.name, s.slots),
				Message: fmt.Sprintf("%d nodes are listed and the role has %d slots (count and reserve)", len(s.spec.Nodes), s.slots),
				Fix:     fmt.Sprintf("raise roles.%s.count or remove the last %d", s.name, extra),
			})
		}
		addresses := addressesOf(s, n, r)
		for i := range s.slots {
			out = append(out, nodeOf(c, s, i, addresses[i]))
		}
	}
	return out
}

// nodeOf is slot i (from 0) of a role. A listed node wins over its role.
func nodeOf(c *spec.Cluster, s roleSize, i int, address string) Node {
	listed := listedNode(s, i)
	name := cmp.Or(listed.Name, fmt.Sprintf("%s-%d", s.name, i+1))
	labels := maps.Clone(s.spec.Labels)
	if labels == nil && len(listed.Labels) > 0 {
		labels = map[string]string{}
	}
	maps.Copy(labels, listed.Labels)
	return Node{
		Name: name, Role: s.name, Slot: i + 1, Reserved: i+1 > s.count,
		Address: address, PublicIP: listed.PublicIP,
		MAC: listed.MAC, Interface: cmp.Or(listed.Interface, c.Network.Interface), Labels: labels,
		Type: cmp.Or(listed.Type, s.spec.Type), RootDisk: cmp.Or(listed.RootDisk, s.spec.RootDisk), DataDisk: cmp.Or(listed.DataDisk, s.spec.DataDisk),
		VRRPPriority: vrrpPriority(s.name, i+1),
		GUID:         GUID("node", c.Name, name), InstanceID: instanceID(c.Name, name),
	}
}

// roleSpec is a role of the cluster file by name.
func roleSpec(c *spec.Cluster, name string) spec.Role {
	switch name {
	case Master:
		return c.Roles.Master
	case Proxy:
		return c.Roles.Proxy
	}
	return c.Roles.Worker
}

// listedNode is the entry of roles.<role>.nodes for slot i, or an empty one.
func listedNode(s roleSize, i int) spec.Node {
	if i < len(s.spec.Nodes) {
		return s.spec.Nodes[i]
	}
	return spec.Node{}
}

// vrrpPriority puts slot 1 first. 255 belongs to the owner of an address and 0
// releases it (RFC 5798, 5.2.4), so neither is ever used.
func vrrpPriority(role string, slot int) int {
	if role == Worker {
		return 0
	}
	return max(1, 251-slot)
}

// checkNames refuses two nodes or operators that share a name, also in the
// alphabet of the mesh, where hyphens become underscores.
func checkNames(c *spec.Cluster, p *Plan, r *report.Report) {
	taken := map[string]string{}
	add := func(name, path string) {
		key := meshName(name)
		other, ok := taken[key]
		if !ok {
			taken[key] = name
			return
		}
		message := fmt.Sprintf("%q is already the name of another node or operator", name)
		if other != name {
			message = fmt.Sprintf("%q and %q are both %q in the mesh, where a hyphen becomes an underscore", name, other, key)
		}
		r.Add(report.Problem{Path: path, Message: message, Fix: "write a name of its own"})
	}
	for _, n := range p.Nodes {
		add(n.Name, nodePath(c, n, "name"))
	}
	for i, o := range p.Operators {
		add(o.Name, fmt.Sprintf("network.operators[%d]", i))
	}
}

// nodePath is where a user finds a field of a node: its entry under nodes, or
// the role when it has none.
func nodePath(c *spec.Cluster, n Node, field string) string {
	role := roleSpec(c, n.Role)
	if n.Slot <= len(role.Nodes) {
		return fmt.Sprintf("roles.%s.nodes[%d].%s", n.Role, n.Slot-1, field)
	}
	return "roles." + n.Role
}
