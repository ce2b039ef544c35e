package profiles

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// TestFirewallIsAccepted asks nft itself, for every role of every example and
// for what the examples do not use.
func TestFirewallIsAccepted(t *testing.T) {
	nft := testtool.Path(t, "nft")
	ns := newNamespace(t, "nft-check")
	check := func(t *testing.T, p *plan.Plan, role string) {
		rules := contents(t, nodeDocument(t, p, p.NodesOf(role)[0].Name), nftablesPath)
		if out, err := ns.command(nft, "-c", "-f", scratch(t, "rules", rules)).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	eachRole(t, check)
	for name, text := range map[string]string{
		"ipvs and another CNI": `{name: a, platform: {provider: libvirt}, kubernetes: {proxyMode: ipvs}, addons: {cni: none},
			endpoint: {access: [198.51.100.7/32]}, roles: {master: {count: 1}}}`,
		"default route": `{name: a, platform: {provider: metal}, network: {mesh: none, cidr: 192.168.1.0/24}, endpoint: {mode: local},
			roles: {master: {count: 1}, worker: {count: 1}}}`,
	} {
		t.Run(name, func(t *testing.T) { check(t, planOf(t, text, plan.Facts{}), "master") })
	}
}

// town is a worker between a mesh, an underlay and a pod.
type town struct{ node, mesh, underlay, pod namespace }

func newTown(t *testing.T) town {
	t.Helper()
	w := town{newNamespace(t, "node"), newNamespace(t, "mesh"), newNamespace(t, "underlay"), newNamespace(t, "pod")}
	link(t, w.node, "mesh0", w.mesh, "eth0")
	link(t, w.node, "eth0", w.underlay, "eth0")
	link(t, w.node, "cni0", w.pod, "eth0")
	for _, a := range []struct {
		ns   namespace
		what string
	}{
		{w.node, "address add 192.168.66.51/24 dev mesh0"},
		{w.node, "address add 10.0.0.51/24 dev eth0"},
		{w.node, "address add 10.244.1.1/24 dev cni0"},
		{w.node, "route add default via 10.0.0.1"},
		{w.mesh, "address add 192.168.66.11/24 dev eth0"}, // a master
		{w.mesh, "address add 192.168.66.31/24 dev eth0"}, // a proxy
		{w.mesh, "address add 192.168.66.52/24 dev eth0"}, // another worker
		{w.mesh, "route add default via 192.168.66.51"},
		{w.underlay, "address add 10.0.0.1/24 dev eth0"},
		{w.underlay, "address add 169.254.42.42/32 dev lo"}, // the provider's metadata
		{w.underlay, "route add 10.244.0.0/16 via 10.0.0.51"},
		{w.underlay, "route add 192.168.66.0/24 via 10.0.0.51"},
		{w.pod, "address add 10.244.1.5/24 dev eth0"},
		{w.pod, "route add default via 10.244.1.1"},
	} {
		a.ns.ip(t, a.what)
	}
	run(t, "ip", "netns", "exec", string(w.node), "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	return w
}

// listen answers TCP connections on ports until the test ends.
func listen(t *testing.T, ns namespace, ports ...int) {
	t.Helper()
	for _, port := range ports {
		var l net.Listener
		err := ns.do(func() (err error) {
			l, err = net.Listen("tcp4", fmt.Sprintf(":%d", port))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					c.Close()
				}
			}
		}()
	}
}

// reaches tells whether a TCP connection comes about.
func reaches(ns namespace, source, target string) bool {
	d := net.Dialer{Timeout: 700 * time.Millisecond}
	if source != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	return ns.do(func() error {
		c, err := d.Dial("tcp4", target)
		if err == nil {
			c.Close()
		}
		return err
	}) == nil
}

// kubeProxy rewrites two NodePorts to the pod, as kube-proxy does.
const kubeProxy = `table ip kube-proxy {
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		tcp dport { 30080, 31999 } dnat to 10.244.1.5:8080
	}
}`

// TestFirewallFilters loads a worker's rules twice beside another table and
// tries who reaches what.
func TestFirewallFilters(t *testing.T) {
	nft, w := testtool.Path(t, "nft"), newTown(t)
	rules := contents(t, nodeDocument(t, example(t, "scaleway-ha"), "worker-1"), nftablesPath)
	run(t, "ip", "netns", "exec", string(w.node), nft, "-f", scratch(t, "kube-proxy", kubeProxy))
	for range 2 {
		run(t, "ip", "netns", "exec", string(w.node), nft, "-f", scratch(t, "rules", rules))
	}
	if all := run(t, "ip", "netns", "exec", string(w.node), nft, "list", "ruleset"); !strings.Contains(all, "table ip kube-proxy") {
		t.Error("the table of another is gone after a reload")
	}
	listen(t, w.node, 22, 655, 9440, 10250)
	listen(t, w.pod, 8080)
	listen(t, w.underlay, 53, 80)
	var tries sync.WaitGroup
	for _, c := range []struct {
		what           string
		ns             namespace
		source, target string
		want           bool
	}{
		{"kubelet from the mesh", w.mesh, "192.168.66.11", "192.168.66.51:10250", true},
		{"kubelet from outside", w.underlay, "", "10.0.0.51:10250", false},
		{"kubelet's mesh address from outside", w.underlay, "", "192.168.66.51:10250", false},
		{"kubelet from a pod", w.pod, "", "10.244.1.1:10250", true},
		{"status from the mesh", w.mesh, "192.168.66.52", "192.168.66.51:9440", true},
		{"status from a pod", w.pod, "", "10.244.1.1:9440", false},
		{"ssh from the mesh", w.mesh, "192.168.66.11", "192.168.66.51:22", false},
		{"ssh from a pod", w.pod, "", "10.244.1.1:22", false},
		{"the mesh's port from outside", w.underlay, "", "10.0.0.51:655", true},
		{"the mesh's port from inside", w.mesh, "192.168.66.11", "192.168.66.51:655", false},
		{"the ingress from a proxy", w.mesh, "192.168.66.31", "192.168.66.51:30080", true},
		{"the ingress from a worker", w.mesh, "192.168.66.52", "192.168.66.51:30080", false},
		{"the ingress from outside", w.underlay, "", "10.0.0.51:30080", false},
		{"another NodePort from a proxy", w.mesh, "192.168.66.31", "192.168.66.51:31999", false},
		{"a pod from outside", w.underlay, "", "10.244.1.5:8080", false},
		{"a pod from the mesh", w.mesh, "192.168.66.52", "10.244.1.5:8080", false},
		{"a pod from its node", w.node, "", "10.244.1.5:8080", true},
		{"the world from a pod", w.pod, "", "10.0.0.1:80", true},
		{"metadata from a pod", w.pod, "", "169.254.42.42:80", false},
		{"the provider's resolver from a pod", w.pod, "", "169.254.42.42:53", true},
		{"metadata from root on the node", w.node, "", "169.254.42.42:80", true},
		{"the node as a router", w.mesh, "192.168.66.52", "10.0.0.1:80", false},
	} {
		tries.Go(func() {
			if got := reaches(c.ns, c.source, c.target); got != c.want {
				t.Errorf("%s: reached is %v", c.what, got)
			}
		})
	}
	tries.Wait()
	// A pod in the host's network is any process that is not root.
	asNobody := w.node.command("setpriv", "--reuid=65534", "--clear-groups", "bash", "-c", "exec 3<>/dev/tcp/169.254.42.42/80")
	if asNobody.Run() == nil {
		t.Error("a process of the node that is not root reached the metadata")
	}
	if err := exec.Command("ip", "netns", "exec", string(w.node), "bash", "-c", "exec 3<>/dev/tcp/169.254.42.42/80").Run(); err != nil {
		t.Errorf("the same command as root: %v", err)
	}
}
