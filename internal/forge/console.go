package forge

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/scaleway"
)

// Console is what a person clicks and pastes to make servers without a key to the API.
type Console struct {
	Region  string
	Before  []string
	Servers []ConsoleServer
	After   []string
}

// ConsoleServer is one server, in the order of the console's form.
type ConsoleServer struct {
	Name string
	Rows []ConsoleRow
}

// ConsoleRow is one field of the form.
type ConsoleRow struct{ Field, Value string }

// Console describes the servers of a role, or one node, that are not in reserve. What
// is larger than the provider takes is an error.
func (a *App) Console(src Source, role, node string) (*Console, error) {
	c, st, err := a.open(src)
	if err != nil {
		return nil, err
	}
	nodes, err := c.chosen(role, node)
	if err != nil {
		return nil, err
	}
	wanted, err := c.atScaleway(nil)
	if err != nil {
		return nil, err
	}
	region := wanted.Zone[:max(0, strings.LastIndex(wanted.Zone, "-"))]
	out := &Console{Region: region, Before: before(wanted, nodes[0].Role), After: after(wanted, nodes[0].Role)}
	for _, n := range nodes {
		if r, _ := c.plan.Role(n.Role); r.Image != "" {
			out.Servers = append(out.Servers, consoleServer(c, wanted, n, nil))
			continue
		}
		size, _, err := c.size("", n.Name, st)
		if err != nil {
			return nil, err
		}
		if size.over() {
			return nil, invalidAt(c, "roles."+n.Role, fmt.Sprintf("the payload of %s has %d bytes, and the provider takes %d", n.Name, size.Counted, size.Limit), size.Remedy)
		}
		out.Servers = append(out.Servers, consoleServer(c, wanted, n, &size))
	}
	return out, nil
}

func (c *cluster) chosen(role, node string) ([]plan.Node, error) {
	var out []plan.Node
	for _, n := range existing(c.plan) {
		if n.Role == role || n.Name == node {
			out = append(out, n)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	if node != "" {
		return nil, c.noSuchNode(node)
	}
	return nil, c.noSuchRole(role)
}

// before lists what servers refer to when they are made.
func before(w *scaleway.Cluster, role string) []string {
	network := fmt.Sprintf("VPC, Private Networks: one with the name %s", w.Network)
	if w.Subnet.IsValid() {
		network += fmt.Sprintf(" and the subnet %s", w.Subnet)
	}
	out := []string{network + "; nodes find each other in its domain " + w.Network + ".internal"}
	if w.VIP.IsValid() {
		out = append(out, fmt.Sprintf("IPAM: book %s in it, for nothing; it floats, and DHCP must not give it away", w.VIP))
	}
	for _, g := range w.Groups {
		if g.Role != role {
			continue
		}
		lets := "nothing"
		var rules []string
		for _, r := range g.Rules {
			rules = append(rules, r.String())
		}
		if len(rules) > 0 {
			lets = strings.Join(rules, ", ")
		}
		out = append(out, fmt.Sprintf("Instances, Security groups: %s-%s, stateful, inbound default drop, outbound default accept; lets in %s", w.Name, role, lets))
	}
	if slices.ContainsFunc(w.Nodes, func(n scaleway.Node) bool { return n.Role == role && n.Apart }) {
		out = append(out, fmt.Sprintf("Instances, Placement groups: %s-apart, max availability, enforced", w.Name))
	}
	return out
}

func consoleServer(c *cluster, w *scaleway.Cluster, n plan.Node, size *Size) ConsoleServer {
	file := path.Join("out", artifact.Secret, "nodes", n.Name+c.extension())
	var server scaleway.Node
	for _, s := range w.Nodes {
		if s.Name == n.Name {
			server = s
		}
	}
	boots := "paste the line that `imgforge claims --role " + n.Role + "` prints for it, and nothing else"
	if size != nil {
		boots = fmt.Sprintf("paste all of %s (imgforge build writes it): %d of %d bytes", file, size.Counted, size.Limit)
	}
	rows := []ConsoleRow{
		{"Zone", w.Zone},
		{"Type", cmp.Or(n.Type, "any; roles."+n.Role+".type names none")},
		{"Image", cmp.Or(server.Image, w.Image, "your own; platform.scaleway.image names none")},
		{"Name", n.Name},
		{"Tags", strings.Join(w.Tags(server), " ")},
		{"Volumes", fmt.Sprintf("block storage, root %d GB", w.RootSize)},
		{"Private network", w.Network + consoleAddress(server)},
		{"Security group", w.Name + "-" + n.Role},
		{"Public IPv4", consoleIP(w, n)},
		{"Cloud-init", boots},
	}
	for _, disk := range server.Disks {
		rows[5].Value += fmt.Sprintf("; %s %d GB", disk, w.DataSize)
	}
	if server.Apart {
		rows = append(rows, ConsoleRow{"Placement group", w.Name + "-apart"})
	}
	return ConsoleServer{Name: n.Name, Rows: rows}
}

func consoleAddress(n scaleway.Node) string {
	if n.Address.IsValid() {
		return ", with the address " + n.Address.String()
	}
	return ", any address"
}

func consoleIP(w *scaleway.Cluster, n plan.Node) string {
	switch {
	case n.PublicIP != "":
		return n.PublicIP
	case w.Egress == scaleway.EgressPublicIP:
		return "yes, any"
	}
	return "no"
}

// after lists what can only be done to servers that exist.
func after(w *scaleway.Cluster, role string) []string {
	out := []string{"the form starts a server at once: the Cloud-init field must be filled before, because a first boot without it cannot be repeated"}
	if role == w.Edge {
		address := "a flexible IP"
		if w.EdgeIP.IsValid() {
			address = "the flexible IP " + w.EdgeIP.String()
		}
		out = append(out, "Instances, Flexible IPs: attach "+address+" to the first of them")
	}
	return append(out, "delete the user-data of a server once its node is Ready: it holds the node's keys")
}
