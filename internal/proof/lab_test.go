package proof

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

// lab is a few nodes of a cluster, each a machine, on one wire.
type lab struct {
	*cluster
	wire     *wire
	machines map[string]*machine
}

// newLab boots the named nodes up to a loaded firewall. The names of every node
// of today are in /etc/hosts; the resolver itself never answers, as in an outage
// of the provider's DNS: nothing that runs may wait for it.
func newLab(t *testing.T, c *cluster, nodes ...string) *lab {
	t.Helper()
	l := &lab{cluster: c, wire: newWire(t), machines: map[string]*machine{}}
	var hosts strings.Builder
	below := map[string]string{}
	for i, n := range c.plan.Nodes {
		if n.Reserved {
			continue
		}
		host := strings.Split(n.Endpoint, ":")[0]
		address, err := netip.ParseAddr(host)
		if err != nil {
			address = netip.AddrFrom4([4]byte{172, 31, 0, byte(i + 1)})
		}
		if err != nil && host != "" {
			fmt.Fprintf(&hosts, "%s %s\n", address, host)
		}
		below[n.Name] = address.String()
	}
	for _, name := range nodes {
		m := newMachine(t, name, c.tree(t, name), "etcd", "etcdctl", "wireguard-go")
		m.run(t, "cp", programs+"imgforge-node", "/usr/bin/imgforge-node")
		m.run(t, "sh", "-c", "printf '%s' \"$1\" >>/etc/hosts; rm -f /etc/resolv.conf; echo nameserver 172.31.255.53 >/etc/resolv.conf", "sh", hosts.String())
		l.wire.plug(t, m, below[name])
		m.startUnit(t, c.tree(t, name), "imgforge-firewall.service")
		l.machines[name] = m
	}
	return l
}

// mesh is the address of a node in the cluster's network.
func (l *lab) mesh(t *testing.T, name string) string { return l.node(t, name).Address }

// startEtcd lets the helpers of masters found etcd and waits until every one is
// healthy. What the kubelet does in between, the test does: it starts the manifest
// that a helper puts in its folder.
func (l *lab) startEtcd(t *testing.T, masters []string) {
	t.Helper()
	const manifest = "/etc/kubernetes/manifests/etcd.yaml"
	for _, name := range masters {
		m := l.machines[name]
		if _, err := m.try("test", "-e", manifest); err == nil {
			t.Fatalf("the payload of %s starts etcd before anybody was asked", name)
		}
		m.startUnit(t, l.tree(t, name), "imgforge-etcd-guard.service")
		m.start(t, "helper.log", "/usr/bin/imgforge-node", "etcd")
	}
	for _, name := range masters {
		m := l.machines[name]
		await(t, "the helper of "+name+" decides to found", func() error { _, err := m.try("test", "-e", manifest); return err })
		m.startManifest(t, "etcd", m.run(t, "cat", manifest))
	}
	await(t, "etcd healthy on every master", func() error {
		_, err := l.etcdctl(t, masters, "endpoint", "health")
		return err
	})
}

// etcdctl asks members over the mesh, from the machine of the first one.
func (l *lab) etcdctl(t *testing.T, members []string, args ...string) (string, error) {
	t.Helper()
	var endpoints []string
	for _, name := range members {
		endpoints = append(endpoints, "https://"+l.mesh(t, name)+":2379")
	}
	const pki = "/etc/kubernetes/pki/etcd/"
	return l.machines[members[0]].try(append([]string{programs + "etcdctl", "--endpoints=" + strings.Join(endpoints, ","),
		"--cacert=" + pki + "ca.crt", "--cert=" + pki + "healthcheck-client.crt", "--key=" + pki + "healthcheck-client.key",
		"--command-timeout=5s"}, args...)...)
}

// seesQuorum writes through one member and reads through each of the others.
func (l *lab) seesQuorum(t *testing.T, members []string, value string) {
	t.Helper()
	await(t, "a write with quorum", func() error {
		_, err := l.etcdctl(t, members[:1], "put", "proof", value)
		return err
	})
	for _, name := range members[1:] {
		await(t, "a read through "+name, func() error {
			out, err := l.etcdctl(t, []string{name}, "get", "--print-value-only", "proof")
			if err == nil && strings.TrimSpace(out) != value {
				err = fmt.Errorf("read %q, want %q", out, value)
			}
			return err
		})
	}
}

// holders are the machines that have an address now.
func (l *lab) holders(masters []string, address string) []string {
	var out []string
	for _, name := range masters {
		if shown, err := l.machines[name].try("ip", "-4", "-oneline", "address", "show", "to", address); err == nil && shown != "" {
			out = append(out, name)
		}
	}
	return out
}

// A cluster on tinc with a floating address: the rendered files bring up the
// mesh, etcd on it, and haproxy behind the address, which survives the loss of
// the machine that holds it.
func TestTincClusterSurvivesItsHolder(t *testing.T) {
	testtool.Root(t)
	for _, name := range []string{"tincd", "haproxy", "keepalived", "nft", "etcd", "etcdctl"} {
		testtool.Path(t, name)
	}
	c := example(t, "scaleway-ha")
	masters, worker := founders(t, c), c.plan.NodesOf("worker")[0].Name
	l := newLab(t, c, append([]string{worker}, masters...)...)
	for _, m := range sorted(l.machines) {
		m.startUnit(t, c.tree(t, m.name), "imgforge-mesh.service")
	}
	l.startEtcd(t, masters)
	l.seesQuorum(t, masters, "over tinc")

	for _, name := range masters {
		m := l.machines[name]
		m.start(t, "apiserver.log", programs+"proof", "serve", fmt.Sprintf("0.0.0.0:%d", c.plan.Endpoint.APIServerPort),
			"/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/apiserver.key")
		m.startPod(t, c.tree(t, name), "haproxy")
		m.startPod(t, c.tree(t, name), "keepalived")
	}
	answers := func() error {
		_, err := l.machines[worker].try(programs+"proof", "get", c.plan.Endpoint.URL+"/readyz", "/etc/kubernetes/pki/ca.crt")
		return err
	}
	vip := c.plan.Endpoint.Address
	one := func(among []string) (holder string) {
		t.Helper()
		await(t, "one holder of "+vip, func() error {
			found := l.holders(among, vip)
			if len(found) != 1 {
				return fmt.Errorf("%s is on %q", vip, found)
			}
			holder = found[0]
			return nil
		})
		await(t, "the API answers a worker at "+c.plan.Endpoint.URL, answers)
		return holder
	}
	first := one(masters)
	closed(t, l, worker, first)

	l.machines[first].kill()
	left := without(masters, first)
	second := one(left)
	t.Logf("%s moved from %s to %s", vip, first, second)
	l.seesQuorum(t, left, "without "+first)

	// The helper's check takes the address away from a node whose API is gone,
	// though the machine lives: here haproxy and the API server of the holder end.
	m := l.machines[second]
	m.run(t, "sh", "-c", "for p in $(pidof haproxy proof); do kill -9 $p; done")
	last := without(left, second)
	await(t, "the address leaves a node without an API", func() error {
		if found := l.holders(left, vip); len(found) != 1 || found[0] != last[0] {
			return fmt.Errorf("%s is on %q, want %q", vip, found, last)
		}
		return answers()
	})
}

// closed sees that the firewall keeps a worker away from etcd, which a master reaches.
func closed(t *testing.T, l *lab, worker, master string) {
	t.Helper()
	dial := fmt.Sprintf("exec 3<>/dev/tcp/%s/2379", l.mesh(t, master))
	if out, err := l.machines[worker].try("timeout", "3", "bash", "-c", dial); err == nil {
		t.Errorf("%s reaches etcd on %s: %s", worker, master, out)
	}
}

// A cluster on WireGuard: wireguard-go runs the rendered peers, and etcd has a quorum over them.
func TestWireGuardClusterHasQuorum(t *testing.T) {
	testtool.Root(t)
	for _, name := range []string{"wg", "nft", "wireguard-go", "etcd", "etcdctl"} {
		testtool.Path(t, name)
	}
	c := example(t, "exoscale")
	masters := founders(t, c)
	l := newLab(t, c, masters...)
	for _, m := range sorted(l.machines) {
		l.startWireGuard(t, m)
	}
	l.startEtcd(t, masters)
	l.seesQuorum(t, masters, "over WireGuard")
	// Without the mesh there must be no quorum, or the test saw another way.
	for _, name := range masters[1:] {
		l.machines[name].run(t, "ip", "link", "set", c.plan.Network.Interface, "down")
	}
	await(t, "no quorum without the mesh", func() error {
		if out, err := l.etcdctl(t, masters[:1], "put", "proof", "alone"); err == nil {
			return fmt.Errorf("written without a mesh: %s", out)
		}
		return nil
	})
}

// startWireGuard does what networkd does with the rendered .netdev and .network.
func (l *lab) startWireGuard(t *testing.T, m *machine) {
	t.Helper()
	device := l.plan.Network.Interface
	dir := filepath.Join(l.tree(t, m.name), "etc/systemd/network")
	find := func(pattern string) string {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %q, %v", pattern, found, err)
		}
		return found[0]
	}
	m.start(t, "wireguard.log", "env", "LOG_LEVEL=error", programs+"wireguard-go", "--foreground", device)
	await(t, device+" on "+m.name, func() error { _, err := m.try("wg", "show", device); return err })
	config := filepath.Join(t.TempDir(), "wg.conf")
	if err := os.WriteFile(config, []byte(wireguardConfig(t, find("*.netdev"))), 0o600); err != nil {
		t.Fatal(err)
	}
	give(t, m, config, "/run/wg.conf")
	m.run(t, "wg", "setconf", device, "/run/wg.conf")
	network, err := os.ReadFile(strings.TrimSuffix(find("*.netdev"), ".netdev") + ".network")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(network), "[Network]\n")
	m.run(t, "ip", "address", "add", section(body)["Address"][0], "dev", device)
	m.run(t, "ip", "link", "set", device, "mtu", fmt.Sprint(l.plan.Network.MTU.Mesh), "up")
}

// give copies a file into a machine.
func give(t *testing.T, m *machine, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	m.run(t, "sh", "-c", "umask 077; printf '%s' \"$1\" >"+to, "sh", string(data))
}

func founders(t *testing.T, c *cluster) []string {
	t.Helper()
	if len(c.plan.Etcd.Founders) != 3 {
		t.Fatalf("%s is founded by %q, want three masters", c.name, c.plan.Etcd.Founders)
	}
	return c.plan.Etcd.Founders
}

func sorted(machines map[string]*machine) []*machine {
	return slices.SortedFunc(maps.Values(machines), func(a, b *machine) int { return strings.Compare(a.name, b.name) })
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}
