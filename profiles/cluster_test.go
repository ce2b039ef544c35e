package profiles

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
)

// sized is a cluster of three masters and a number of workers.
func sized(t testing.TB, masters, workers int, facts plan.Facts) *plan.Plan {
	t.Helper()
	return planOf(t, fmt.Sprintf(`
name: sized
platform: {provider: libvirt}
kubernetes: {podCIDR: 10.244.0.0/14}
network: {mesh: tinc, cidr: 10.20.0.0/20}
roles:
  master: {count: %d, nodes: [{endpoint: master-1.example.org}], reboot: {start: "04:00", length: 6h}}
  worker: {count: %d, labels: {tier: edge}}
`, masters, workers), facts)
}

// TestWithinTheReserve: a worker or a master more, within the reserve that the
// store has anchored, changes no byte of any document.
func TestWithinTheReserve(t *testing.T) {
	facts := plan.Facts{Anchors: map[string]plan.Anchor{"master": {Count: 3, Reserve: 2}, "worker": {Count: 2, Reserve: 8}}}
	before := sized(t, 3, 2, facts)
	for name, after := range map[string]*plan.Plan{
		"a worker more": sized(t, 3, 3, facts), "all the reserve": sized(t, 5, 10, facts),
	} {
		for _, role := range []string{"master", "worker"} {
			if !reflect.DeepEqual(roleDocument(t, before, role), roleDocument(t, after, role)) {
				t.Errorf("%s: the document of role %s differs", name, role)
			}
		}
		for _, n := range before.Nodes {
			if !reflect.DeepEqual(nodeDocument(t, before, n.Name), nodeDocument(t, after, n.Name)) {
				t.Errorf("%s: the document of %s differs", name, n.Name)
			}
		}
	}
}

// TestWorkersDoNotGrowWithTheCluster: the document of one worker is as large
// beside 500 workers as beside 5, so that all of them grow with the cluster only
// as fast as their number.
func TestWorkersDoNotGrowWithTheCluster(t *testing.T) {
	size := func(doc *payload.Document) (n int) {
		for _, f := range doc.Files {
			n += len(f.Contents)
		}
		return n
	}
	few, many := size(nodeDocument(t, sized(t, 3, 5, plan.Facts{}), "worker-1")), size(nodeDocument(t, sized(t, 3, 500, plan.Facts{}), "worker-1"))
	if many > few {
		t.Errorf("%d bytes among 500 workers, %d among 5", many, few)
	}
}

// TestClusterFile: masters know every slot, the others the masters alone.
func TestClusterFile(t *testing.T) {
	p := sized(t, 3, 2, plan.Facts{})
	read := func(node string) artifact.ClusterFile {
		c, err := artifact.ParseClusterFile([]byte(contents(t, nodeDocument(t, p, node), artifact.ClusterFilePath)))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	master, worker := read("master-1"), read("worker-1")
	if len(master.Nodes) != len(p.Nodes) || master.Addons == nil || master.EndpointURL != p.Endpoint.URL || master.APIServerPort != 8443 {
		t.Errorf("master: %+v", master)
	}
	if len(worker.Nodes) != len(p.NodesOf("master")) || worker.Addons != nil {
		t.Errorf("worker: %+v", worker)
	}
	for _, n := range master.Nodes {
		label := map[string]string{"master": "node-role.kubernetes.io/control-plane", "worker": "node-role.kubernetes.io/worker"}[n.Role]
		if _, ok := n.Labels[label]; !ok || len(n.Labels) != 1 {
			t.Errorf("%s: labels %v", n.Name, n.Labels)
		}
		if (n.Role == "master") != (n.Window != nil) {
			t.Errorf("%s: window %v", n.Name, n.Window)
		}
	}
	if strings.Join(master.Etcd.Founders, " ") != "master-1 master-2 master-3" || master.Etcd.Token != p.Etcd.Token {
		t.Errorf("etcd: %+v", master.Etcd)
	}
}

// TestNodeFile: a node's own identity, and the floating address it may hold.
func TestNodeFile(t *testing.T) {
	for _, c := range []struct{ example, node, vip string }{
		{"scaleway-ha", "master-1", "192.168.66.253/24 mesh0 250"},
		{"scaleway-ha", "worker-1", ""},
		{"exoscale", "master-1", ""},
		{"bare-metal", "master-2", "192.168.1.10/24 enp1s0 249"},
	} {
		p := example(t, c.example)
		file, err := artifact.ParseNodeFile([]byte(contents(t, nodeDocument(t, p, c.node), artifact.NodeFilePath)))
		if err != nil {
			t.Fatal(err)
		}
		n, _ := p.Node(c.node)
		if file.Node != n.Name || file.Address != n.Address || file.Slot != n.Slot || file.Role != n.Role || file.Endpoint.Port != p.Endpoint.Port {
			t.Errorf("%s %s: %+v", c.example, c.node, file)
		}
		if (file.APIServerPort == 8443) != (n.Role == "master") {
			t.Errorf("%s %s: apiserver port %d", c.example, c.node, file.APIServerPort)
		}
		got := ""
		if v := file.VIP; v != nil {
			got = fmt.Sprintf("%s/%d %s %d", v.Address, v.PrefixLen, v.Interface, v.Priority)
		}
		if got != c.vip {
			t.Errorf("%s %s: VIP %q, want %q", c.example, c.node, got, c.vip)
		}
	}
}

// TestKubeconfigs: who talks to which server.
func TestKubeconfigs(t *testing.T) {
	p := example(t, "scaleway-ha")
	doc := nodeDocument(t, p, "master-1")
	for path, server := range map[string]string{
		"/etc/kubernetes/controller-manager.conf":         "https://127.0.0.1:8443",
		"/etc/kubernetes/scheduler.conf":                  "https://127.0.0.1:8443",
		"/etc/kubernetes/admin.conf":                      p.Endpoint.URL,
		"/etc/kubernetes/kubelet.conf":                    p.Endpoint.URL,
		"/etc/kubernetes/pki/client-ca.crt":               "<authority kubernetes>\n<authority kubelet-signer>\n",
		"/etc/kubernetes/pki/ca.crt":                      "<authority kubernetes>\n",
		"/etc/kubernetes/pki/etcd/peer.crt":               "<certificate of master-1/etcd-peer>\n",
		"/etc/imgforge/pki/status.crt":                    "<certificate of master-1/status>\n",
		"/etc/kubernetes/pki/kubelet-signer.key":          "<private key of authority kubelet-signer>\n",
		"/etc/kubernetes/pki/front-proxy-client.key":      "<private key of master-1/front-proxy-client>\n",
		"/etc/kubernetes/pki/etcd/healthcheck-client.key": "<private key of master-1/etcd-healthcheck-client>\n",
	} {
		if got := contents(t, doc, path); !strings.Contains(got, server) {
			t.Errorf("%s does not hold %q:\n%s", path, server, got)
		}
	}
	worker := nodeDocument(t, p, "worker-1")
	for _, f := range worker.Files {
		if strings.HasPrefix(f.Path, pkiDir+"/") && !slices.Contains([]string{caPath, pkiDir + "/kubelet.crt", pkiDir + "/kubelet.key"}, f.Path) || bytes.Contains(f.Contents, []byte("<authority etcd>")) {
			t.Errorf("a worker carries %s", f.Path)
		}
	}
}
