package plan

import (
	"regexp"
	"strings"
	"testing"
)

func TestGUIDsAreUUIDsOfTheirParts(t *testing.T) {
	// A GUID that moves makes every node a new machine: this value never changes.
	if got := GUID("node", "nostromo", "master-1"); got != "5c4f05ac-30e2-8c5f-ac72-7c81f7d14982" {
		t.Errorf("GUID of master-1 is %s", got)
	}
	if GUID("ab", "c") == GUID("a", "bc") {
		t.Error("parts run into each other")
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(GUID("x")) {
		t.Errorf("%s is no UUIDv8", GUID("x"))
	}
}

func TestIdentifiersBelongToOneCluster(t *testing.T) {
	a := mustPlan(t, parse(t, nostromo), Facts{})
	b := mustPlan(t, parse(t, strings.Replace(nostromo, "name: nostromo", "name: sulaco", 1)), Facts{})
	if a.Etcd.Token == b.Etcd.Token || a.Nodes[0].GUID == b.Nodes[0].GUID || a.Nodes[0].InstanceID == b.Nodes[0].InstanceID {
		t.Error("two clusters share an identifier")
	}
}

func TestVirtualRoutersNeverMeet(t *testing.T) {
	c := parse(t, nostromo)
	for id := range 256 {
		c.Network.VRRPID = id // 0: derived
		p := mustPlan(t, c, Facts{})
		m, x := p.Network.VRRPID, p.Network.VRRPIDProxy
		if m < 1 || m > 255 || x < 1 || x > 255 || m == x || id > 0 && m != id {
			t.Fatalf("vrrpID %d: masters %d, proxies %d", id, m, x)
		}
	}
	seen := map[int]bool{}
	for _, n := range mustPlan(t, parse(t, nostromo), Facts{}).NodesOf(Master) {
		if n.VRRPPriority < 1 || n.VRRPPriority > 254 || seen[n.VRRPPriority] {
			t.Errorf("%s has priority %d", n.Name, n.VRRPPriority)
		}
		seen[n.VRRPPriority] = true
	}
}
