// Package scaleway makes the servers of a cluster, and what they need around them,
// exist at Scaleway, and removes them again. What is to change is decided by pure
// functions from what is wanted and what was seen; the rest carries changes out one
// by one. It knows nothing of cluster files.
package scaleway

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"
)

// The tags of everything that belongs to a cluster. A node reads NodeTag of its own
// server when it claims its slot.
const (
	ClusterTag = "imgforge.cluster="
	RoleTag    = "imgforge.role="
	NodeTag    = "imgforge.node="
	SlotTag    = "imgforge.slot="
	// useTag says what an object is for when it belongs to no single node.
	useTag = "imgforge.use="
)

// UserDataKey is the key of user-data that Ignition and cloud-init read.
const UserDataKey = "cloud-init"

// Ways to the internet.
const (
	EgressPublicIP = "publicIP"
	EgressGateway  = "gateway"
	EgressNone     = "none"
)

// Cluster is what is to exist.
type Cluster struct {
	Name string
	Zone string
	// Network is the name of the private network: with .internal behind it, the
	// domain in which servers find each other.
	Network string
	// Subnet is the private network's, when the nodes' addresses are its own; the
	// zero value leaves the choice to the provider, as a mesh needs none of its own.
	Subnet netip.Prefix
	// VIP is the floating address in Subnet, booked so that DHCP never gives it away.
	VIP      netip.Addr
	Egress   string
	Image    string // ID or label of the marketplace
	RootSize int    // GB
	DataSize int    // GB
	Groups   []Group
	Nodes    []Node
	// Edge is the role that holds the flexible address; "" when there is none.
	Edge string
	// EdgeIP is an address that you reserved; the zero value has one made.
	EdgeIP netip.Addr
	// Ready tells since when nodes are, as far as the cluster was asked: a server that was
	// made before that has booted, and its user-data goes.
	Ready map[string]time.Time
}

// Group is the security group of a role. It lets in what its rules say and nothing
// else, and filters the public interface alone.
type Group struct {
	Role  string
	Rules []Rule
}

// Rule lets in one range of ports.
type Rule struct {
	Proto string // TCP | UDP
	Port  uint32
	To    uint32 // last port of a range; 0 for a single one
	From  netip.Prefix
}

// Node is one server.
type Node struct {
	Name string
	Role string
	Slot int
	Type string
	// Address is the node's own in Subnet; the zero value has any booked.
	Address netip.Addr
	// PublicIP is an address that you reserved for this node alone.
	PublicIP netip.Addr
	Apart    bool     // in the placement group
	Image    string   // ID of an image of its own; "" for the cluster's
	Disks    []string // names of data volumes, in the order of their devices
	UserData []byte
}

// Tags are the words that name a node at the provider.
func (c *Cluster) Tags(n Node) []string {
	return []string{ClusterTag + c.Name, RoleTag + n.Role, SlotTag + itoa(n.Slot), NodeTag + n.Name}
}

// image is what a node boots from, by ID or label.
func (c *Cluster) image(n Node) string { return cmp.Or(n.Image, c.Image) }

func (c *Cluster) node(name string) (Node, bool) {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// booted tells whether a server's node has been Ready since it was made: one of the same
// name that it replaced may have been so before.
func (c *Cluster) booted(s *Server) bool {
	since, ready := c.Ready[s.Node]
	return ready && s.State == stateRunning && !s.Made.IsZero() && since.After(s.Made)
}

func (c *Cluster) group(role string) (Group, bool) {
	for _, g := range c.Groups {
		if g.Role == role {
			return g, true
		}
	}
	return Group{}, false
}

// groupName is how a role's security group is called.
func (c *Cluster) groupName(role string) string { return c.Name + "-" + role }

// placementName is how the placement group of the masters is called.
func (c *Cluster) placementName() string { return c.Name + "-apart" }

// sum is a fingerprint of user-data; that itself is secret and never kept.
func sum(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// tagged finds the value of one of our tags.
func tagged(tags []string, name string) string {
	for _, t := range tags {
		if value, ok := strings.CutPrefix(t, name); ok {
			return value
		}
	}
	return ""
}
