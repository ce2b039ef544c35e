package plan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/spec"
)

// leaves prints the certificates and keys of a node as openssl users read them.
func leaves(p *Plan, node string) string {
	var b strings.Builder
	for _, c := range p.Certificates {
		if c.Node != node {
			continue
		}
		fmt.Fprintf(&b, "%s\n  %s by %s, %d days, CN=%s", c.ID, c.Profile, c.Authority, c.Days, c.CN)
		if len(c.O) > 0 {
			fmt.Fprintf(&b, " O=%s", strings.Join(c.O, ","))
		}
		b.WriteString("\n")
		for _, name := range c.DNS {
			fmt.Fprintf(&b, "  DNS:%s\n", name)
		}
		for _, ip := range c.IPs {
			fmt.Fprintf(&b, "  IP:%s\n", ip)
		}
	}
	for _, k := range p.Keys {
		if k.Node == node {
			fmt.Fprintf(&b, "%s\n  %s\n", k.ID, k.Kind)
		}
	}
	return b.String()
}

func TestLeaves(t *testing.T) {
	c := parse(t, nostromo)
	c.Roles.Master.Nodes = []spec.Node{{PublicIP: "203.0.113.7"}}
	c.Roles.Worker.Nodes = []spec.Node{{PublicIP: "203.0.113.8"}}
	p := mustPlan(t, c, Facts{})
	golden(t, "leaves.txt", []byte(leaves(p, "master-2")+"\n"+leaves(p, "proxy-1")+"\n"+leaves(p, "worker-11")))
}

func TestLeavesDependOnNoOtherNode(t *testing.T) {
	small, large := parse(t, nostromo), parse(t, nostromo)
	large.Roles.Master.Count, large.Roles.Worker.Count = 7, 60
	large.Roles.Master.Reboot, large.Roles.Worker.Reboot = nil, nil
	before, after := mustPlan(t, small, Facts{}), mustPlan(t, large, Facts{})
	for _, n := range before.Nodes {
		if got, want := leaves(after, n.Name), leaves(before, n.Name); got != want {
			t.Errorf("%s: %s", n.Name, firstDifference(want, got))
		}
	}
}

func TestIDsAreUniqueAndLeavesComplete(t *testing.T) {
	p := mustPlan(t, parse(t, nostromo), Facts{})
	seen := map[string]bool{}
	perNode := map[string]int{}
	for _, c := range p.Certificates {
		if seen[c.ID] || c.CN == "" || c.Days != 365 || c.Profile != ProfileClient && len(c.DNS)+len(c.IPs) == 0 {
			t.Errorf("%+v", c)
		}
		seen[c.ID] = true
		perNode[c.Node]++
	}
	for _, k := range p.Keys {
		if seen[k.ID] {
			t.Errorf("%s is planned twice", k.ID)
		}
		seen[k.ID] = true
	}
	for _, n := range p.Nodes {
		want := 2
		if n.Role == Master {
			want = 12
		}
		if perNode[n.Name] != want {
			t.Errorf("%s has %d leaves, want %d", n.Name, perNode[n.Name], want)
		}
	}
}

func TestKeysFollowMeshAndAlgorithm(t *testing.T) {
	for _, tc := range []struct {
		mesh, tinc, algorithm string
		mesh1, account        string
	}{
		{"tinc", "1.0", "ecdsa-256", "tinc-rsa", "ecdsa"},
		{"tinc", "1.1", "rsa-3072", "tinc-ed25519", "rsa"},
		{"wireguard", "1.0", "ecdsa-256", "wireguard", "ecdsa"},
		{"none", "1.0", "rsa-2048", "", "rsa"},
	} {
		c := parse(t, exoscale)
		c.Network.Mesh, c.Network.TincVersion, c.PKI.Algorithm = tc.mesh, tc.tinc, tc.algorithm
		p := mustPlan(t, c, Facts{})
		var mesh []string
		for _, k := range p.Keys {
			if k.ID == "service-account" && k.Kind != tc.account {
				t.Errorf("%+v: service accounts sign with %s", tc, k.Kind)
			}
			if k.Node == "worker-1" && !strings.HasSuffix(k.ID, "/claim") || strings.HasPrefix(k.ID, "operator/") {
				mesh = append(mesh, k.ID)
			}
		}
		var want []string
		if tc.mesh1 != "" {
			want = []string{"worker-1/" + tc.mesh1, "operator/ana/" + tc.mesh1}
		}
		if !slices.Equal(mesh, want) {
			t.Errorf("%+v: mesh keys %v, want %v", tc, mesh, want)
		}
	}
}

func TestOrderOfSANsMeansNothing(t *testing.T) {
	a, b := parse(t, nostromo), parse(t, nostromo)
	slices.Reverse(b.Endpoint.SANs)
	if !reflect.DeepEqual(mustPlan(t, a, Facts{}).Certificates, mustPlan(t, b, Facts{}).Certificates) {
		t.Error("reordering endpoint.sans asks for new certificates")
	}
}
