package profiles

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/profiles/addons"
)

// addonsOf are the add-ons that a master of the plan renders from its cluster.json.
func addonsOf(t *testing.T, p *plan.Plan) map[string]addons.Object {
	t.Helper()
	text := contents(t, nodeDocument(t, p, p.NodesOf("master")[0].Name), artifact.ClusterFilePath)
	c, err := artifact.ParseClusterFile([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	all, err := addons.Render(c, addons.Facts{})
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]addons.Object{}
	for _, a := range all {
		for _, o := range a.Objects {
			objects[o.Kind+"/"+o.Name] = o
		}
	}
	return objects
}

// TestAddonsFollowThePlan: what the add-ons assume of a cluster is what its plan
// says: layers of MTU, ports, identities, labels and taints.
func TestAddonsFollowThePlan(t *testing.T) {
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		if role != "master" {
			return // masters alone apply add-ons
		}
		objects := addonsOf(t, p)
		if p.Addons.CNI == "flannel" {
			overlayFollows(t, p, objects["ConfigMap/kube-flannel-cfg"])
		}
		var identities []string
		for _, c := range p.Certificates {
			identities = append(append(identities, c.CN), c.O...)
		}
		for _, binding := range []string{"imgforge:node-client-renewal", "imgforge:kubelet-api"} {
			var o struct{ Subjects []struct{ Name string } }
			if err := json.Unmarshal(objects["ClusterRoleBinding/"+binding].JSON, &o); err != nil {
				t.Fatal(err)
			}
			if len(o.Subjects) != 1 || !slices.Contains(identities, o.Subjects[0].Name) {
				t.Errorf("%s binds %+v, which no certificate of the plan holds", binding, o.Subjects)
			}
		}
		if !p.Addons.CoreDNS {
			return
		}
		dns := string(objects["Deployment/coredns"].JSON)
		if !strings.Contains(dns, fmt.Sprintf("%q", roleLabel("proxy"))) {
			t.Errorf("CoreDNS does not keep off nodes with label %s", roleLabel("proxy"))
		}
		for _, r := range p.Roles {
			for _, taint := range r.Taints {
				if r.Name == "master" && !strings.Contains(dns, fmt.Sprintf(`"key":%q`, taint.Key)) {
					t.Errorf("CoreDNS does not tolerate the masters' taint %s", taint.Key)
				}
			}
		}
	})
}

// overlayFollows compares flannel's configuration with the plan.
func overlayFollows(t *testing.T, p *plan.Plan, o addons.Object) {
	t.Helper()
	var config struct{ Data map[string]string }
	var net struct {
		Network string
		Backend struct{ Port, MTU int }
	}
	if err := json.Unmarshal(o.JSON, &config); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(config.Data["net-conf.json"]), &net); err != nil {
		t.Fatal(err)
	}
	if net.Network != p.Kubernetes.PodCIDR || net.Backend.MTU != p.Network.MTU.Mesh {
		t.Errorf("flannel has %+v; the plan has pods in %s over a network with MTU %d", net, p.Kubernetes.PodCIDR, p.Network.MTU.Mesh)
	}
	for _, r := range p.Roles {
		if !slices.ContainsFunc(p.Ports, func(port plan.Port) bool {
			return port.Role == r.Name && port.Proto == "udp" && port.Port == net.Backend.Port
		}) {
			t.Errorf("flannel's port %d is closed on role %s", net.Backend.Port, r.Name)
		}
	}
}

// TestAddonsOfEveryMinor: whatever version a plan can be made for, its masters
// have add-ons for.
func TestAddonsOfEveryMinor(t *testing.T) {
	for _, minor := range plan.Minors() {
		p := planOf(t, fmt.Sprintf("name: x\nplatform: {provider: libvirt}\nkubernetes: {version: %s.0}\nendpoint: {mode: local}\nnetwork: {mesh: none}\nroles: {master: {count: 1, reserve: 0, nodes: [{address: 192.168.66.11}]}}\n", minor), plan.Facts{})
		if objects := addonsOf(t, p); len(objects) < 30 {
			t.Errorf("%s: %d objects", minor, len(objects))
		}
	}
}
