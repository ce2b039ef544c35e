//go:build lab

package addons

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool"
)

// TestRealProgramsTakeTheirManifests runs what the manifests run, with their
// commands, configurations, accounts and capabilities, against a real API server
// that holds the rendered objects: flannel makes the overlay, kube-proxy the
// Services, CoreDNS answers through one, and the API server reaches metrics-server
// through another. What is missing is the kubelet.
func TestRealProgramsTakeTheirManifests(t *testing.T) {
	for mode, program := range map[string]string{"nftables": "nft", "iptables": "iptables"} {
		t.Run(mode, func(t *testing.T) {
			testtool.Path(t, program)
			c := cluster("1.36.3")
			c.EndpointURL, c.Addons.ProxyMode = "https://"+nodeIP+":6443", mode
			addonsWork(t, c)
		})
	}
}

func addonsWork(t *testing.T, c artifact.ClusterFile) {
	b := newBench(t, c)
	b.registerNode()

	flannel := b.pod(Flannel, "kube-flannel", "flanneld")
	flannel.start()
	b.until("flannel knows its subnet", func() error {
		out, err := flannel.inside("cat", "/run/flannel/subnet.env")
		return holds(out, err, "FLANNEL_SUBNET=10.244.1.1/24", fmt.Sprintf("FLANNEL_MTU=%d", c.Addons.PodMTU), "FLANNEL_IPMASQ=true")
	})
	proxy := b.pod(KubeProxy, "kube-proxy", "kube-proxy")
	proxy.start()
	if out, err := flannel.inside(flannel.hook...); err != nil {
		t.Fatalf("hook after the start: %v\n%s", err, out)
	}
	out, err := flannel.inside("cat", "/etc/cni/net.d/10-flannel.conflist")
	if err := holds(out, err, `"type": "flannel"`, `"type": "portmap"`); err != nil {
		t.Fatal(err)
	}
	b.podGetsMTU(flannel, out, c.Addons.PodMTU)
	b.listensOnLoopback("udp", ":8472")

	dns := b.pod(CoreDNS, "coredns", "coredns")
	dns.start()
	b.endpoint("kube-dns", []port{{"dns", "UDP", 53}, {"dns-tcp", "TCP", 53}})
	b.until("DNS answers through its Service", func() error { return b.resolves(c.Addons.DNSIP) })

	metrics := b.pod(MetricsServer, "metrics-server", "metrics-server")
	metrics.start()
	b.endpoint("metrics-server", []port{{"https", "TCP", 10250}})
	b.until("the API server serves metrics", func() error {
		out, err := b.kubectl("", "get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes")
		return holds(out, err, "NodeMetricsList")
	})
}

// holds is an error that shows the text where a word is missing.
func holds(text string, err error, words ...string) error {
	if err != nil {
		return fmt.Errorf("%w\n%s", err, text)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			return fmt.Errorf("%q is missing in\n%s", w, text)
		}
	}
	return nil
}

// resolves asks the cluster's DNS for the API's Service, over both protocols.
func (b *bench) resolves(server string) error {
	for _, protocol := range []string{"udp", "tcp"} {
		r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
			err = b.do(func() (err error) { conn, err = net.Dial(protocol, server+":53"); return err })
			return conn, err
		}}
		ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Second)
		addrs, err := r.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
		cancel()
		if err != nil || len(addrs) != 1 || addrs[0] != "10.96.0.1" {
			return fmt.Errorf("%s: %v, %w", protocol, addrs, err)
		}
	}
	return nil
}

// listensOnLoopback allows one other listener.
func (b *bench) listensOnLoopback(protocol, other string) {
	b.t.Helper()
	out, err := b.in("ss", "--listening", "--tcp", "--udp", "--numeric", "--processes", "--no-header").CombinedOutput()
	if err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		switch {
		case strings.Contains(line, `"kube-apiserver"`) || strings.HasPrefix(f[4], "127.0.0.1:"):
		case f[0] == protocol && strings.HasSuffix(f[4], other):
		default:
			b.t.Errorf("something listens outside of loopback: %s", line)
		}
	}
}

// podGetsMTU makes a pod's network as containerd would, with flannel's plugin first.
func (b *bench) podGetsMTU(flannel *pod, conflist string, mtu int) {
	b.t.Helper()
	var list struct {
		Name, CNIVersion string
		Plugins          []map[string]any
	}
	if err := json.Unmarshal([]byte(conflist), &list); err != nil {
		b.t.Fatal(err)
	}
	conf := list.Plugins[0]
	conf["name"], conf["cniVersion"] = list.Name, list.CNIVersion
	stdin, _ := json.Marshal(conf)
	plugins := b.t.TempDir()
	for _, name := range []string{"flannel", "bridge", "host-local"} {
		if err := os.Symlink(testtool.Path(b.t, "cni-"+name), filepath.Join(plugins, name)); err != nil {
			b.t.Fatal(err)
		}
	}
	there := b.spawn(exec.Command("unshare", "--net", "sleep", "infinity"))
	time.Sleep(200 * time.Millisecond) // until unshare has become sleep
	// It runs as containerd does, outside of any container's file system.
	cmd := flannel.command("sh", "-c", `umount /proc/sys && exec env "$@"`, "env", "CNI_COMMAND=ADD", "CNI_CONTAINERID=pod", "CNI_IFNAME=eth0", "CNI_PATH="+plugins,
		fmt.Sprintf("CNI_NETNS=/proc/%d/ns/net", there.Process.Pid), filepath.Join(plugins, "flannel"))
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "10.244.1.") {
		b.t.Fatalf("flannel's plugin: %v\n%s", err, out)
	}
	out, err := exec.Command("nsenter", "--net", "--target", fmt.Sprint(there.Process.Pid), "ip", "link", "show", "eth0").CombinedOutput()
	if err := holds(string(out), err, fmt.Sprintf("mtu %d ", mtu)); err != nil {
		b.t.Error(err)
	}
}

// registerNode is what a kubelet and the controller manager do.
func (b *bench) registerNode() {
	b.t.Helper()
	b.must(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"`+nodeName+`","annotations":{"volumes.kubernetes.io/controller-managed-attach-detach":"true"}},"spec":{"podCIDR":"10.244.1.0/24","podCIDRs":["10.244.1.0/24"]}}`, "create", "-f", "-")
	b.must("", "patch", "node", nodeName, "--subresource=status", "--patch", `{"status":{"addresses":[{"type":"InternalIP","address":"`+nodeIP+`"}]}}`)
}

type port struct {
	name, protocol string
	number         int
}

// endpoint is what the controller manager makes of a ready pod, here on the node's address.
func (b *bench) endpoint(service string, ports []port) {
	b.t.Helper()
	var list []map[string]any
	for _, p := range ports {
		list = append(list, map[string]any{"name": p.name, "protocol": p.protocol, "port": p.number})
	}
	slice := map[string]any{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": list,
		"metadata":  map[string]any{"name": service + "-1", "namespace": "kube-system", "labels": map[string]any{"kubernetes.io/service-name": service}},
		"endpoints": []any{map[string]any{"addresses": []any{nodeIP}, "conditions": map[string]any{"ready": true}}},
	}
	text, _ := json.Marshal(slice)
	b.must(string(text), "create", "-f", "-")
}

// apply hands the rendered objects to the API server as a master does.
func (b *bench) apply(c artifact.ClusterFile) {
	b.t.Helper()
	all, err := Render(c, b.facts)
	if err != nil {
		b.t.Fatal(err)
	}
	b.addons = all
	var stream bytes.Buffer
	for _, a := range all {
		for _, o := range a.Objects {
			fmt.Fprintf(&stream, "---\n%s\n", o.JSON)
		}
	}
	b.must(stream.String(), "apply", "--server-side", "--field-manager=imgforge", "-f", "-")
}
