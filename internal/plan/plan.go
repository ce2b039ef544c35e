// Package plan makes every decision that a cluster file leaves open: nodes and
// slots, addresses, peers, certificates, windows, MTUs, images, identifiers,
// budgets. It is pure: no file, clock, randomness or network.
package plan

// Plan is everything that follows from a cluster file and from what its store
// already anchors. Lists are sorted and stable; the JSON of a plan is what
// `imgforge plan --json` prints, and holds no secret.
type Plan struct {
	Cluster      string        `json:"cluster"`
	Kubernetes   Kubernetes    `json:"kubernetes"`
	Endpoint     Endpoint      `json:"endpoint"`
	Network      Network       `json:"network"`
	OS           OS            `json:"os"`
	Platform     Platform      `json:"platform"`
	Etcd         Etcd          `json:"etcd"`
	Ingress      Ingress       `json:"ingress"`
	Addons       Addons        `json:"addons"`
	Settings     Settings      `json:"settings"`
	Roles        []Role        `json:"roles"`
	Nodes        []Node        `json:"nodes"`
	Operators    []Operator    `json:"operators,omitempty"`
	Images       Images        `json:"images"`
	Ports        []Port        `json:"ports"`
	Certificates []Certificate `json:"certificates"`
	Keys         []Key         `json:"keys"`
	// LatestBoot is the last instant (RFC 3339, UTC) at which an artifact made
	// from this plan and its store can boot: the earliest NotAfter of the leaves
	// it carries. Empty before the leaves are issued.
	LatestBoot string `json:"latestBoot,omitempty"`
	// Notes are things a careful operator would want to know, in words.
	Notes []string `json:"notes,omitempty"`
}

// Facts is what the store knows and a plan needs; the zero value is a cluster
// that has no store yet.
type Facts struct {
	// Anchors freezes the slots per role (master, proxy, worker), so that raising a
	// count within the reserve changes no other node and founders stay founders.
	Anchors map[string]Anchor `json:"anchors,omitempty"`
	// LatestBoot is copied into the plan.
	LatestBoot string `json:"latestBoot,omitempty"`
	// Secrets are the names of user secrets that the store holds.
	Secrets []string `json:"secrets,omitempty"`
}

// Anchor is a role's count and reserve when its slots were last issued. While the
// new count fits them and the reserve is unchanged, or count and reserve still add up
// to the same, the slots stay exactly those; otherwise they are planned anew.
type Anchor struct {
	Count   int `json:"count"`
	Reserve int `json:"reserve"`
	// Founding is the count of the very first issue. It outlives every growth: the
	// masters that may found etcd stay the same ones.
	Founding int `json:"founding"`
}

// Slots is the number of slots that the anchor holds.
func (a Anchor) Slots() int { return a.Count + a.Reserve }

// holds tells whether a count and reserve are served by the anchored slots.
func (a Anchor) holds(count, reserve int) bool {
	return count+reserve == a.Slots() || reserve == a.Reserve && count <= a.Slots()
}

// Role looks a role up by name.
func (p *Plan) Role(name string) (Role, bool) {
	for _, r := range p.Roles {
		if r.Name == name {
			return r, true
		}
	}
	return Role{}, false
}

// Node looks a node up by name.
func (p *Plan) Node(name string) (Node, bool) {
	for i := range p.Nodes { // a node is large to copy, and a cluster may have a thousand
		if p.Nodes[i].Name == name {
			return p.Nodes[i], true
		}
	}
	return Node{}, false
}

// NodesOf lists a role's slots, reserved ones included, in slot order.
func (p *Plan) NodesOf(role string) []Node {
	r, _ := p.Role(role)
	out := make([]Node, 0, r.Slots)
	for i := range p.Nodes {
		if p.Nodes[i].Role == role {
			out = append(out, p.Nodes[i])
		}
	}
	return out
}
