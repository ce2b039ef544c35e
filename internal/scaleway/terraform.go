package scaleway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// Module is what a Terraform module needs to know besides the cluster.
type Module struct {
	// Payloads is the folder of the nodes' payloads, relative to the module; Extension is
	// what their names end in.
	Payloads, Extension string
	Region              string
}

// providerVersions are those in which all attributes that the module sets exist: the
// name of a root volume came last, in 2.63.0 (schemas of the provider by version).
const providerVersions = ">= 2.63.0, < 3.0.0"

// object is one JSON object of the module.
type object map[string]any

// Terraform writes a module in JSON syntax with the objects that [Up] makes. It holds no
// secret: what servers boot from is read from files and from a variable.
func Terraform(c *Cluster, m Module) ([]byte, error) {
	t := &terraform{cluster: c, module: m, resources: map[string]object{}, data: map[string]object{}}
	t.around()
	t.addresses()
	for _, n := range c.Nodes {
		t.node(n)
	}
	file := object{
		"//":        "Made by imgforge export terraform; the next export replaces it.",
		"terraform": object{"required_version": ">= 1.5.0", "required_providers": object{"scaleway": object{"source": "scaleway/scaleway", "version": providerVersions}}},
		"variable":  t.variables(),
		"resource":  t.resources,
		"output":    t.outputs(),
	}
	if len(t.data) > 0 {
		file["data"] = t.data
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(file); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

type terraform struct {
	cluster   *Cluster
	module    Module
	resources map[string]object // by type, then by name
	data      map[string]object
}

func (t *terraform) add(kind, name string, b object) {
	if t.resources[kind] == nil {
		t.resources[kind] = object{}
	}
	t.resources[kind][name] = b
}

// text is a string that Terraform takes as it is.
func text(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(s)
}

// quoted is text within quotation marks within an expression. No sign that begins a
// template stays: $${ is no way out where another $ comes before it.
func quoted(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "${", `\u0024{`, "%{", `\u0025{`).Replace(s)
}

// of is an expression.
func of(format string, args ...any) string { return "${" + fmt.Sprintf(format, args...) + "}" }

func (t *terraform) tags(more ...string) []string {
	out := []string{text(ClusterTag + t.cluster.Name)}
	for _, tag := range more {
		out = append(out, text(tag))
	}
	return out
}

// around are the objects that servers need before they can be made.
func (t *terraform) around() {
	c := t.cluster
	network := object{"name": text(c.Network), "region": t.module.Region, "tags": t.tags(), "enable_default_route_propagation": c.Egress == EgressGateway}
	if c.Subnet.IsValid() {
		network["ipv4_subnet"] = []object{{"subnet": c.Subnet.String()}}
	}
	t.add("scaleway_vpc_private_network", "cluster", network)
	for _, g := range c.Groups {
		group := object{"name": text(c.groupName(g.Role)), "description": "imgforge: the public interface of role " + text(g.Role), "zone": c.Zone, "stateful": true,
			"inbound_default_policy": "drop", "outbound_default_policy": "accept", "tags": t.tags(RoleTag + g.Role)}
		var rules []object
		for _, r := range g.Rules {
			rules = append(rules, inbound(r))
		}
		if len(rules) > 0 {
			group["inbound_rule"] = rules
		}
		t.add("scaleway_instance_security_group", g.Role, group)
	}
	for _, n := range c.Nodes {
		if n.Apart {
			t.add("scaleway_instance_placement_group", "apart", object{"name": text(c.placementName()), "zone": c.Zone, "policy_type": "max_availability", "policy_mode": "enforced", "tags": t.tags()})
		}
	}
}

func inbound(r Rule) object {
	out := object{"action": "accept", "protocol": r.Proto, "ip_range": r.From.String()}
	if r.To > r.Port {
		out["port_range"] = fmt.Sprintf("%d-%d", r.Port, r.To)
	} else {
		out["port"] = r.Port
	}
	return out
}

// addresses are the bookings in the private network, and the public addresses.
func (t *terraform) addresses() {
	c := t.cluster
	book := func(name string, a netip.Addr, tags []string) {
		b := object{"region": t.module.Region, "source": []object{{"private_network_id": of("scaleway_vpc_private_network.cluster.id")}}, "tags": tags}
		if a.IsValid() {
			b["address"] = a.String()
		}
		t.add("scaleway_ipam_ip", name, b)
	}
	if c.VIP.IsValid() {
		book("vip", c.VIP, t.tags(useTag+"vip"))
	}
	for _, n := range c.Nodes {
		book("node-"+n.Name, n.Address, t.tags(c.Tags(n)[1:]...))
		if n.PublicIP.IsValid() {
			t.reserved("node-"+n.Name, n.PublicIP)
		}
	}
	switch {
	case c.Edge == "":
	case c.EdgeIP.IsValid():
		t.reserved("edge", c.EdgeIP)
	default:
		t.add("scaleway_instance_ip", "edge", object{"type": "routed_ipv4", "zone": c.Zone, "tags": t.tags(RoleTag+c.Edge, useTag+"edge")})
	}
}

// reserved looks an address up that is yours, and that the module never removes.
func (t *terraform) reserved(name string, a netip.Addr) {
	if t.data["scaleway_instance_ip"] == nil {
		t.data["scaleway_instance_ip"] = object{}
	}
	t.data["scaleway_instance_ip"][name] = object{"address": a.String(), "zone": t.cluster.Zone}
}

func (t *terraform) node(n Node) {
	c := t.cluster
	var volumes []string
	for _, name := range n.Disks {
		t.add("scaleway_block_volume", name, object{"name": text(name), "zone": c.Zone, "iops": 5000, "size_in_gb": c.DataSize, "tags": t.tags(c.Tags(n)[1:]...)})
		volumes = append(volumes, of("scaleway_block_volume.%s.id", name))
	}
	server := object{
		"name": text(n.Name), "zone": c.Zone, "type": text(n.Type), "image": text(c.image(n)), "tags": t.tags(c.Tags(n)[1:]...),
		"security_group_id": of("scaleway_instance_security_group.%s.id", n.Role), "enable_dynamic_ip": c.Egress == EgressPublicIP,
		"root_volume": []object{{"name": text(rootName(n.Name)), "size_in_gb": c.RootSize, "volume_type": "sbs_volume"}},
		"cloud_init":  t.boots(n), "state": of("var.state"),
		// A server boots from its user-data once, imgforge-node deletes it then, and keepalived moves the edge's address.
		"lifecycle": object{"ignore_changes": []string{"cloud_init", "user_data", "image", "ip_ids"}},
	}
	if len(volumes) > 0 {
		server["additional_volume_ids"] = volumes
	}
	if n.Apart {
		server["placement_group_id"] = of("scaleway_instance_placement_group.apart.id")
	}
	if ip := t.publicIP(n); ip != "" {
		server["ip_ids"] = []string{ip}
	}
	t.add("scaleway_instance_server", n.Name, server)
	t.add("scaleway_instance_private_nic", n.Name, object{"server_id": of("scaleway_instance_server.%s.id", n.Name), "zone": c.Zone, "private_network_id": of("scaleway_vpc_private_network.cluster.id"),
		"ipam_ip_ids": []string{of("scaleway_ipam_ip.node-%s.id", n.Name)}, "tags": t.tags(NodeTag + n.Name)})
}

// publicIP is the address that a server is made with: its own, or the edge's for the
// first server of that role.
func (t *terraform) publicIP(n Node) string {
	c := t.cluster
	if n.PublicIP.IsValid() {
		return of("data.scaleway_instance_ip.node-%s.id", n.Name)
	}
	for _, first := range c.Nodes {
		if first.Role != c.Edge {
			continue
		}
		if first.Name != n.Name {
			return ""
		}
		if c.EdgeIP.IsValid() {
			return of("data.scaleway_instance_ip.edge.id")
		}
		return of("scaleway_instance_ip.edge.id")
	}
	return ""
}

// boots is where a server's user-data comes from. It is hidden in what Terraform prints.
func (t *terraform) boots(n Node) string {
	if n.Image != "" { // which holds the payload, encrypted to the claim line
		return of(`"${var.claims[%q]}\n"`, n.Name)
	}
	return of(`sensitive(file("${var.payloads != "" ? var.payloads : "${path.module}/%s"}/%s"))`, quoted(t.module.Payloads), n.Name+t.module.Extension)
}

func (t *terraform) variables() object {
	out := object{
		"payloads": object{"type": "string", "default": "", "description": "Folder of the nodes' payloads that imgforge build wrote; empty for " + text(t.module.Payloads) + ", relative to the module."},
		"state": object{"type": "string", "default": "started",
			"description": "started, or stopped to have everything made and nothing powered on: do that first, so that servers boot with their private interface."},
	}
	for _, n := range t.cluster.Nodes {
		if n.Image != "" {
			out["claims"] = object{"type": "map(string)", "sensitive": true, "description": "The claim line of each server that boots from an image of its role, by name of node: imgforge claims."}
		}
	}
	return out
}

func (t *terraform) outputs() object {
	servers := object{}
	for _, n := range t.cluster.Nodes {
		servers[text(n.Name)] = of("scaleway_instance_server.%s.id", n.Name)
	}
	out := object{"servers": object{"description": "IDs of the servers by name of node.", "value": servers}}
	if t.cluster.Edge != "" && !t.cluster.EdgeIP.IsValid() {
		out["edge"] = object{"description": text("The address of role " + t.cluster.Edge + ": write it into the cluster file as its publicIP."), "value": of("scaleway_instance_ip.edge.address")}
	}
	return out
}
