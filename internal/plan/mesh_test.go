package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/spec"
)

const exoscale = `
name: ex-o
platform: {provider: exoscale, zone: ch-gva-2}
network: {mesh: wireguard, operators: [ana]}
roles:
  master: {count: 3, reserve: 0, nodes: [{endpoint: 203.0.113.1}, {endpoint: 203.0.113.2}, {endpoint: "203.0.113.3:51821"}]}
  worker: {count: 2, reserve: 1, nodes: [{endpoint: 203.0.113.4}]}
`

func TestTincSpokesKnowHubsOnly(t *testing.T) {
	p := mustPlan(t, parse(t, nostromo), Facts{})
	hubs := []string{"master-1", "master-2", "master-3", "master-4", "master-5"}
	dialled := hubs[:3] // a reserved master dials the others, and nobody waits for its name
	for _, n := range p.Nodes {
		switch {
		case n.Role == Master:
			if want := n.Name + ".nostromo.internal"; n.Endpoint != want || !n.Hub {
				t.Errorf("%s: endpoint %q, want %q", n.Name, n.Endpoint, want)
			}
			if len(n.Peers) != len(p.Nodes)-1+len(p.Operators) || slices.Contains(n.Peers, n.Name) || !slices.Contains(n.Peers, "ana") {
				t.Errorf("hub %s knows %v", n.Name, n.Peers)
			}
			if !slices.Equal(n.Dials, without(dialled, n.Name)) || !slices.Equal(n.Peers[:4], without(hubs, n.Name)) {
				t.Errorf("hub %s dials %v and lists %v first", n.Name, n.Dials, n.Peers[:4])
			}
		case n.Hub || n.Endpoint != "" || !slices.Equal(n.Peers, hubs) || !slices.Equal(n.Dials, dialled):
			t.Errorf("spoke %s: %+v", n.Name, n)
		}
		if strings.Contains(n.MeshName, "-") {
			t.Errorf("tinc cannot carry the name %q", n.MeshName)
		}
	}
}

func TestWireGuardIsAFullMesh(t *testing.T) {
	p := mustPlan(t, parse(t, exoscale), Facts{})
	for _, n := range p.Nodes {
		if len(n.Peers) != 6 {
			t.Errorf("%s has %d peers, want five nodes and an operator", n.Name, len(n.Peers))
		}
	}
	worker, _ := p.Node("worker-1")
	if want := []string{"master-1", "master-2", "master-3"}; !slices.Equal(worker.Dials, want) {
		t.Errorf("worker-1 dials %v", worker.Dials)
	}
	late, _ := p.Node("worker-3")
	if want := []string{"master-1", "master-2", "master-3", "worker-1"}; !slices.Equal(late.Dials, want) {
		t.Errorf("worker-3 dials %v", late.Dials)
	}
	master, _ := p.Node("master-3")
	if master.Endpoint != "203.0.113.3:51821" {
		t.Errorf("the endpoint's own port is lost: %s", master.Endpoint)
	}
	if !strings.Contains(strings.Join(p.Notes, "\n"), "worker-3: a reserved slot without endpoint") {
		t.Errorf("no note that an endpoint given later changes every node: %v", p.Notes)
	}
}

func TestWireGuardOnScalewayDialsByName(t *testing.T) {
	c := parse(t, strings.Replace(exoscale, "exoscale, zone: ch-gva-2", "scaleway", 1))
	p := mustPlan(t, c, Facts{})
	if n, _ := p.Node("worker-3"); n.Endpoint != "worker-3.ex-o.internal" {
		t.Errorf("reserved worker-3 is reached at %q", n.Endpoint)
	}
	c.Platform.PrivateDomain = "lan.internal"
	p = mustPlan(t, c, Facts{})
	if n, _ := p.Node("worker-2"); n.Endpoint != "worker-2.lan.internal" {
		t.Errorf("privateDomain is not used: %q", n.Endpoint)
	}
}

func TestWireGuardEndsWhereTheBudgetDoes(t *testing.T) {
	limit, bounded := peerLimit(Budget{Bytes: 32768, Base64: true})
	if !bounded || limit < 20 || limit > 200 {
		t.Fatalf("exoscale holds %d peers", limit)
	}
	at := func(slots int) string {
		c := parse(t, exoscale)
		c.Network.Operators = nil
		c.Roles.Worker.Count = slots - 4 // three masters, one reserved worker
		_, r := New(c, Facts{})
		if r.Errors() == 0 {
			return ""
		}
		return r.Err().Error()
	}
	if text := at(limit + 1); text != "" {
		t.Errorf("%d peers are refused: %s", limit, text)
	}
	if text := at(limit + 2); !strings.Contains(text, "network.mesh") || !strings.Contains(text, "tinc") {
		t.Errorf("%d peers: %q", limit+1, text)
	}
	if _, bounded := peerLimit(Budget{}); bounded {
		t.Error("no budget is a bound")
	}
}

func TestNoMeshHasNoPeers(t *testing.T) {
	p := mustPlan(t, parse(t, `{name: lan, platform: {provider: metal}, network: {mesh: none, interface: eth0}, roles: {master: {count: 3}}}`), Facts{})
	for _, n := range p.Nodes {
		if n.MeshName != "" || n.Hub || len(n.Peers)+len(n.Dials) > 0 || n.Interface != "eth0" {
			t.Errorf("%+v", n)
		}
	}
	if p.Network.Interface != "eth0" || p.Network.Port != 0 {
		t.Errorf("%+v", p.Network)
	}
}

func TestAMasterAloneNeedsNoHub(t *testing.T) {
	c := parse(t, exoscale)
	c.Roles, c.Network.Operators = spec.Roles{Master: spec.Role{Count: 1}}, nil
	mustPlan(t, c, Facts{})
}

func TestMTUOfEachLayer(t *testing.T) {
	for _, tc := range []struct {
		provider, mesh, version string
		want                    MTU
	}{
		{"scaleway", "tinc", "1.0", MTU{Underlay: 1500, Mesh: 1402, Pod: 1352}},
		{"scaleway", "tinc", "1.1", MTU{Underlay: 1500, Mesh: 1405, Pod: 1355}},
		{"exoscale", "wireguard", "", MTU{Underlay: 1500, Mesh: 1420, Pod: 1370}},
		{"hetzner", "wireguard", "", MTU{Underlay: 1450, Mesh: 1370, Pod: 1320}},
		{"openstack", "tinc", "1.0", MTU{Underlay: 1450, Mesh: 1352, Pod: 1302}},
		{"metal", "none", "", MTU{Underlay: 1500, Mesh: 1500, Pod: 1450}},
	} {
		c := parse(t, nostromo)
		c.Platform.Provider, c.Network.Mesh, c.Network.TincVersion = tc.provider, tc.mesh, tc.version
		if p, _ := New(c, Facts{}); p.Network.MTU != tc.want {
			t.Errorf("%s %s %s: %+v, want %+v", tc.provider, tc.mesh, tc.version, p.Network.MTU, tc.want)
		}
	}
}
