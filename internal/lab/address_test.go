package lab

import (
	"net/netip"
	"testing"

	"github.com/imgforge/imgforge/internal/plan"
)

// Machines get what a provider's DHCP would give; nobody gets two, and the
// operator's machine gets what is nobody's.
func TestAddresses(t *testing.T) {
	p := &plan.Plan{
		Network:  plan.Network{Mesh: "tinc", CIDR: "192.168.66.0/24"},
		Endpoint: plan.Endpoint{Address: "192.168.66.253"},
		Roles:    []plan.Role{{Name: plan.Proxy, PublicIP: "10.99.0.253"}},
		Nodes: []plan.Node{
			{Name: "on-the-wire", Endpoint: "10.99.0.252:655"},
			{Name: "public", Endpoint: "203.0.113.7"},
			{Name: "named", Endpoint: "Named.seven.internal:655"},
			{Name: "silent"},
		},
	}
	tr := &Trial{Plan: p, fixture: fixture{wire: &Network{gateway: gatewayOf(p)}}}
	seen := map[netip.Prefix]string{}
	for name, want := range map[string]string{"on-the-wire": "10.99.0.252/24", "public": "203.0.113.7/32", "named": "10.99.0.102/24", "silent": "10.99.0.103/24", "unknown": "invalid Prefix"} {
		got := tr.below(name)
		if got.String() != want {
			t.Errorf("%s gets %s, want %s", name, got, want)
		}
		if other, twice := seen[got]; twice {
			t.Errorf("%s and %s both get %s", name, other, got)
		}
		seen[got] = name
	}
	if got := tr.operatorAddress(); got.String() != "10.99.0.251/24" {
		t.Errorf("the operator gets %s, want the highest that is free", got)
	}
	if got := tr.names()["named.seven.internal"]; got != tr.below("named").Addr() {
		t.Errorf("named.seven.internal is %s", got)
	}
	p.Network = plan.Network{Mesh: "none", CIDR: "192.168.1.0/24", Gateway: "192.168.1.1"}
	if got := gatewayOf(p); got.String() != "192.168.1.1/24" {
		t.Errorf("the gateway is %s, want the cluster file's", got)
	}
	if got := tr.below("public"); got.IsValid() {
		t.Errorf("a payload that sets its address gets %s", got)
	}
}
