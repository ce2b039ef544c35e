package plan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/spec"
)

// The table of ranges is part of what users rely on: a new imgforge must not move
// an address.
func TestRanges(t *testing.T) {
	var b strings.Builder
	for _, bits := range []int{8, 16, 20, 22, 23, 24, 25, 26, 27, 28} {
		network := netip.PrefixFrom(netip.MustParseAddr("10.32.0.0"), bits).Masked()
		fmt.Fprintf(&b, "%-13s", network)
		for _, role := range []string{Master, Proxy, Worker, "operator"} {
			s := spanOf(role, bits)
			if s.size() == 0 {
				fmt.Fprintf(&b, " %s none", role)
				continue
			}
			fmt.Fprintf(&b, " %s %s-%s (%d)", role, hostAddress(network, s.first), hostAddress(network, s.last), s.size())
		}
		fmt.Fprintf(&b, " vip %s\n", lastUsable(network))
	}
	golden(t, "ranges.txt", []byte(b.String()))
}

func TestRangesNeverOverlap(t *testing.T) {
	for bits := 8; bits <= longestPrefix; bits++ {
		end := 0
		for _, role := range []string{Master, Proxy, Worker, "operator"} {
			s := spanOf(role, bits)
			if s.size() == 0 || s.first <= end {
				t.Errorf("/%d: %s begins at %d, the range before it ends at %d", bits, role, s.first, end)
			}
			end = s.last
		}
		if vip := 1<<(32-bits) - 2; end >= vip {
			t.Errorf("/%d: operators reach the VIP", bits)
		}
	}
}

func TestGrowingOneRoleMovesNoOther(t *testing.T) {
	small := mustPlan(t, parse(t, nostromo), Facts{})
	c := parse(t, nostromo)
	c.Roles.Master.Count, c.Roles.Proxy.Count, c.Roles.Worker.Count = 7, 9, 90
	c.Roles.Master.Reboot, c.Roles.Worker.Reboot = nil, nil
	c.Network.Operators = append(c.Network.Operators, "carl")
	large := mustPlan(t, c, Facts{})
	for _, n := range small.Nodes {
		if m, ok := large.Node(n.Name); !ok || m.Address != n.Address || m.GUID != n.GUID || m.InstanceID != n.InstanceID {
			t.Errorf("%s moved: %+v and %+v", n.Name, n, m)
		}
	}
	for i, o := range small.Operators {
		if large.Operators[i] != o {
			t.Errorf("operator %s moved", o.Name)
		}
	}
}

func TestOperatorsLeaveTheVIPAlone(t *testing.T) {
	p := mustPlan(t, parse(t, nostromo), Facts{})
	if p.Operators[0].Address != "192.168.66.252" || p.Operators[1].Address != "192.168.66.251" {
		t.Errorf("operators with the VIP at .253: %+v", p.Operators)
	}
	c := parse(t, nostromo)
	c.Endpoint.Address = "192.168.66.254"
	if p := mustPlan(t, c, Facts{}); p.Operators[0].Address != "192.168.66.253" {
		t.Errorf("operators with the VIP at .254: %+v", p.Operators)
	}
}

func TestListedAddressesNeedNoRange(t *testing.T) {
	c := parse(t, `{name: lan, platform: {provider: metal}, network: {mesh: none, cidr: 10.1.2.0/28, interface: eth0}, endpoint: {address: 10.1.2.14},
		roles: {master: {count: 3, reserve: 0, nodes: [{address: 10.1.2.2}, {address: 10.1.2.3}, {address: 10.1.2.4}]}}}`)
	p := mustPlan(t, c, Facts{})
	if p.Nodes[2].Address != "10.1.2.4" {
		t.Errorf("listed address lost: %+v", p.Nodes[2])
	}
	c.Roles.Master.Nodes = c.Roles.Master.Nodes[:2]
	if _, r := New(c, Facts{}); len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Fix, "/27") {
		t.Errorf("a slot without an address: %v", r.Err())
	}
}

func TestAThousandWorkers(t *testing.T) {
	c := parse(t, nostromo)
	c.Network.CIDR, c.Endpoint.Address = "10.66.0.0/16", "10.66.255.254"
	c.Roles.Worker.Count, c.Roles.Worker.Reboot = 1000, nil
	p := mustPlan(t, c, Facts{})
	if n := len(p.NodesOf(Worker)); n != 1008 {
		t.Fatalf("%d workers", n)
	}
	owners := map[string]string{}
	for _, n := range p.Nodes {
		if other := owners[n.Address]; other != "" {
			t.Fatalf("%s and %s share %s", other, n.Name, n.Address)
		}
		owners[n.Address] = n.Name
		if n.Role == Worker && len(n.Peers) != 5 {
			t.Fatalf("%s carries %d peers, want the five hubs", n.Name, len(n.Peers))
		}
		if n.Hub && len(n.Peers) != len(p.Nodes)+len(p.Operators)-1 {
			t.Fatalf("hub %s carries %d peers", n.Name, len(n.Peers))
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for _, workers := range []int{100, 1000} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			c, _, r := spec.Parse("cluster.yaml", []byte(nostromo))
			if err := r.Err(); err != nil {
				b.Fatal(err)
			}
			c.Network.CIDR, c.Endpoint.Address = "10.66.0.0/16", "10.66.255.254"
			c.Roles.Worker.Count, c.Roles.Worker.Reboot = workers, nil
			for b.Loop() {
				New(c, Facts{})
			}
		})
	}
}
