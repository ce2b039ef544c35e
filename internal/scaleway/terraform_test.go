package scaleway_test

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/imgforge/imgforge/internal/scaleway"
)

var update = flag.Bool("update", false, "write the golden files")

// attributes are the arguments that the provider's schema (version 2.81) has of each
// kind of object, with their types, and ! for those that it requires; anything else is
// refused by it.
func attributes() map[string]string {
	return map[string]string{
		"resource.scaleway_vpc_private_network": "name:string region:string tags:list enable_default_route_propagation:bool ipv4_subnet:list",
		"resource.scaleway_instance_security_group": "name:string description:string zone:string stateful:bool inbound_default_policy:string outbound_default_policy:string " +
			"tags:list inbound_rule:list",
		"resource.scaleway_instance_placement_group": "name:string zone:string policy_type:string policy_mode:string tags:list",
		"resource.scaleway_ipam_ip":                  "address:string region:string source:list! tags:list",
		"resource.scaleway_instance_ip":              "type:string zone:string tags:list",
		"resource.scaleway_block_volume":             "name:string zone:string iops:number! size_in_gb:number tags:list",
		"resource.scaleway_instance_private_nic":     "server_id:string! zone:string private_network_id:string! ipam_ip_ids:list tags:list",
		"resource.scaleway_instance_server": "name:string zone:string type:string! image:string! tags:list security_group_id:string placement_group_id:string enable_dynamic_ip:bool " +
			"root_volume:list additional_volume_ids:list ip_ids:list cloud_init:string state:string", // the image, or a volume in its place
		"data.scaleway_instance_ip": "address:string! zone:string", // the address, or an ID in its place
		// Blocks within these.
		"ipv4_subnet":  "subnet:string",
		"inbound_rule": "action:string! protocol:string port:number port_range:string ip_range:string",
		"source":       "private_network_id:string",
		"root_volume":  "name:string size_in_gb:number volume_type:string",
	}
}

// conform minds arguments of a kind of object that are unknown, of another type, or missing.
func conform(t *testing.T, kind string, given map[string]hcl.Expression) {
	t.Helper()
	types, required := map[string]string{}, map[string]bool{}
	for word := range strings.FieldsSeq(attributes()[kind]) {
		name, of, _ := strings.Cut(word, ":")
		types[name], required[name] = strings.TrimSuffix(of, "!"), strings.HasSuffix(of, "!")
	}
	for name, e := range given {
		if got := typeOf(e); got != types[name] {
			t.Errorf("%s: %s is a %s, and the provider has %q", kind, name, got, types[name])
		}
	}
	for name := range types {
		if required[name] && given[name] == nil {
			t.Errorf("%s has no %s, which the provider requires", kind, name)
		}
	}
}

// typeOf is the type of an expression; one that refers to something is a text.
func typeOf(e hcl.Expression) string {
	if _, diags := hcl.ExprList(e); !diags.HasErrors() {
		return "list"
	}
	if len(e.Variables()) > 0 {
		return "string"
	}
	v, _ := e.Value(nil)
	return v.Type().FriendlyName()
}

// exported are the clusters whose modules are looked at.
func exported() map[string]*scaleway.Cluster {
	reserved := shared()
	reserved.EdgeIP = netip.MustParseAddr("203.0.113.63")
	reserved.Nodes[0].PublicIP = netip.MustParseAddr("203.0.113.7")
	reserved.Nodes[2].Image = "6f0c1e9a-1111-4222-8333-444455556666"
	reserved.Egress = scaleway.EgressGateway
	return map[string]*scaleway.Cluster{"mesh": small(), "shared": reserved}
}

// The module is parsed as Terraform parses it, and everything that it refers to is in it.
func TestTerraform(t *testing.T) {
	boots := map[string][]string{
		"mesh":   {"MODULE/../out/secret/nodes/master-1.ign", "MODULE/../out/secret/nodes/proxy-1.ign", "MODULE/../out/secret/nodes/proxy-2.ign"},
		"shared": {"LINE\n", "MODULE/../out/secret/nodes/master-1.ign", "MODULE/../out/secret/nodes/proxy-1.ign"},
	}
	for name, c := range exported() {
		t.Run(name, func(t *testing.T) {
			data, err := scaleway.Terraform(c, scaleway.Module{Payloads: "../out/secret/nodes", Extension: ".ign", Region: "fr-par"})
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(data), payload) {
				t.Error("the module holds what a server boots from")
			}
			golden := filepath.Join("testdata", "terraform-"+name+".tf.json")
			if *update {
				if err := os.WriteFile(golden, data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || string(want) != string(data) {
				t.Errorf("%s is another (%v):\n%s", golden, err, data)
			}
			file, diags := hcljson.Parse(data, "main.tf.json")
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			m := &module{t: t, defined: map[string]bool{}}
			m.read(file.Body)
			m.resolve()
			slices.Sort(m.boots)
			same(t, m.boots, boots[name])
		})
	}
}

// A folder may have any name: servers still boot from what is in it.
func TestTerraformFolders(t *testing.T) {
	for _, folder := range []string{`../a "b" c`, `../a\b\u0041`, `../${var.state}`, `../%{if true}`, `../$${x}$$$%%{`, "../a\tb\nc"} {
		data, err := scaleway.Terraform(small(), scaleway.Module{Payloads: folder, Extension: ".ign", Region: "fr-par"})
		if err != nil {
			t.Fatal(err)
		}
		file, diags := hcljson.Parse(data, "main.tf.json")
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		m := &module{t: t, defined: map[string]bool{}}
		m.read(file.Body)
		slices.Sort(m.boots)
		same(t, m.boots, []string{"MODULE/" + folder + "/master-1.ign", "MODULE/" + folder + "/proxy-1.ign", "MODULE/" + folder + "/proxy-2.ign"})
	}
}

// module collects what a module defines and what it refers to.
type module struct {
	t       *testing.T
	defined map[string]bool
	used    []hcl.Traversal
	boots   []string // what servers boot from
}

// inner minds the blocks within a block, each of which is a list.
func (m *module) inner(name string, e hcl.Expression) {
	m.t.Helper()
	if attributes()[name] == "" {
		return
	}
	blocks, diags := hcl.ExprList(e)
	if diags.HasErrors() || len(blocks) == 0 {
		m.t.Fatalf("%s: %v", name, diags)
	}
	for _, b := range blocks {
		pairs, diags := hcl.ExprMap(b)
		if diags.HasErrors() {
			m.t.Fatal(diags)
		}
		given := map[string]hcl.Expression{}
		for _, p := range pairs {
			key, diags := p.Key.Value(nil)
			if diags.HasErrors() {
				m.t.Fatal(diags)
			}
			given[key.AsString()] = p.Value
		}
		conform(m.t, name, given)
	}
}

// evaluate computes an expression in which file gives the name of the file.
func (m *module) evaluate(e hcl.Expression) string {
	m.t.Helper()
	same := function.New(&function.Spec{Params: []function.Parameter{{Name: "value", Type: cty.String}}, Type: function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return args[0], nil }})
	got, diags := e.Value(&hcl.EvalContext{Functions: map[string]function.Function{"file": same, "sensitive": same}, Variables: map[string]cty.Value{
		"path": cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal("MODULE")}),
		"var":  cty.ObjectVal(map[string]cty.Value{"payloads": cty.StringVal(""), "claims": cty.MapVal(map[string]cty.Value{"proxy-2": cty.StringVal("LINE")})}),
	}})
	if diags.HasErrors() {
		m.t.Fatal(diags)
	}
	return got.AsString()
}

func (m *module) read(body hcl.Body) {
	m.t.Helper()
	content, diags := body.Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "terraform"}, {Type: "variable", LabelNames: []string{"name"}},
		{Type: "resource", LabelNames: []string{"type", "name"}}, {Type: "data", LabelNames: []string{"type", "name"}}, {Type: "output", LabelNames: []string{"name"}}}})
	if diags.HasErrors() {
		m.t.Fatal(diags)
	}
	for _, b := range content.Blocks {
		switch b.Type {
		case "variable":
			m.defined["var."+b.Labels[0]] = true
		case "output":
			m.refer(b.Body, "output")
		case "resource":
			m.defined[strings.Join(b.Labels, ".")] = true
			m.refer(b.Body, "resource."+b.Labels[0])
		case "data":
			m.defined["data."+strings.Join(b.Labels, ".")] = true
			m.refer(b.Body, "data."+b.Labels[0])
		}
	}
}

// refer notes what the expressions of a block refer to, and minds its arguments.
func (m *module) refer(body hcl.Body, kind string) {
	m.t.Helper()
	schema := &hcl.BodySchema{}
	if kind == "resource.scaleway_instance_server" {
		schema.Blocks = []hcl.BlockHeaderSchema{{Type: "lifecycle"}}
	}
	_, rest, diags := body.PartialContent(schema)
	if diags.HasErrors() {
		m.t.Fatal(diags)
	}
	attrs, diags := rest.JustAttributes()
	if diags.HasErrors() {
		m.t.Fatal(diags)
	}
	given := map[string]hcl.Expression{}
	for name, a := range attrs {
		given[name] = a.Expr
		m.used = append(m.used, a.Expr.Variables()...)
		m.inner(name, a.Expr)
		if name == "cloud_init" {
			m.boots = append(m.boots, m.evaluate(a.Expr))
		}
	}
	if kind != "output" {
		conform(m.t, kind, given)
	}
}

func (m *module) resolve() {
	m.t.Helper()
	if len(m.used) < 10 {
		m.t.Errorf("only %d references", len(m.used))
	}
	for _, u := range m.used {
		parts := []string{u.RootName()}
		for _, step := range u[1:] {
			if a, ok := step.(hcl.TraverseAttr); ok {
				parts = append(parts, a.Name)
			}
		}
		length := map[string]int{"data": 3}[parts[0]]
		name := strings.Join(parts[:min(len(parts), max(length, 2))], ".")
		if name != "path.module" && !m.defined[name] {
			m.t.Errorf("%s is not in the module", name)
		}
	}
}
