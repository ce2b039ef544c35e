package watch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/machine"
)

const wireguardCluster = `{name: a, platform: {provider: metal}, endpoint: {mode: local}, network: {mesh: wireguard},
	roles: {master: {count: 1, reserve: 0, nodes: [{endpoint: 10.9.0.1}]}, worker: {count: 1, reserve: 0}}}`

// wireguard makes the interface from the node's rendered netdev, with the userspace
// implementation, which needs no kernel module.
func (n *node) wireguard(t *testing.T, address string) (stop func()) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(n.root, "/etc/systemd/network/20-imgforge-mesh.netdev"))
	if err != nil {
		t.Fatal(err)
	}
	_, peers, _ := strings.Cut(string(text), "[WireGuard]")
	machine.Write(t, n.root, "/wg.conf", "[Interface]"+strings.ReplaceAll(peers, "[WireGuardPeer]", "[Peer]"), 0o600)
	cmd := n.command(testtool.Path(t, "wireguard-go"), "--foreground", n.intf(t))
	cmd.Env = append(os.Environ(), "LOG_LEVEL=error")
	stop = n.start(t, cmd)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		out, err := n.command(testtool.Path(t, "wg"), "setconf", n.intf(t), n.root+"/wg.conf").CombinedOutput()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("wg: %v: %s", err, out)
		}
	}
	ip(t, n.ns, "address replace "+address+" dev "+n.intf(t))
	ip(t, n.ns, "link set "+n.intf(t)+" up")
	return stop
}

func (n *node) intf(t *testing.T) string {
	t.Helper()
	_, rest, _ := strings.Cut(string(contents(n.root, "/etc/imgforge/mesh.env")), "MESH_INTERFACE=")
	name, _, _ := strings.Cut(rest, "\n")
	// All of these devices' sockets lie in one folder, whatever their namespace.
	return strings.Trim(name, `"'`)
}

// Real WireGuard on rendered files: a hub without it, a good mesh, and a key of
// another store, which WireGuard itself passes over in silence.
func TestWireGuardMesh(t *testing.T) {
	t.Parallel()
	needTun(t)
	testtool.Path(t, "wg")
	ours, theirs, wire := machine.New(t, wireguardCluster), machine.New(t, wireguardCluster), newWire(t)
	hub := newNode(t, ours, "master-1", 1, wire)
	spoke := newNode(t, ours, "worker-1", 2, wire)
	stranger := newNode(t, theirs, "worker-1", 3, wire)
	private := func(n *node) {
		// The sockets of wireguard-go lie in one folder: each node has its own name for the device.
		env := filepath.Join(n.root, "/etc/imgforge/mesh.env")
		text, err := os.ReadFile(env)
		if err != nil {
			t.Fatal(err)
		}
		name := "wgw" + n.ns[len(n.ns)-1:] + map[bool]string{true: "m", false: "w"}[n == hub]
		if err := os.WriteFile(env, []byte(strings.Replace(string(text), n.intf(t), name, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	private(hub)
	private(spoke)
	private(stranger)
	stop := spoke.wireguard(t, "192.168.66.51/24")
	s := spoke.watch(t, "a hub without WireGuard", code(bootcode.NoPeer))
	if !strings.Contains(s.Word.Why, "master-1 at 10.9.0.1:51820 cannot be reached: nothing listens there") {
		t.Errorf("%+v", s)
	}
	ip(t, wire, "link set port1 down")
	s = spoke.watch(t, "a hub that cannot be reached", func(s seen) bool {
		return s.Word.Code == bootcode.NoPeer && strings.Contains(s.Word.Why, "master-1 at 10.9.0.1:51820 cannot be reached: it does not answer a ping")
	})
	ip(t, wire, "link set port1 up")
	hub.wireguard(t, "192.168.66.11/24")
	s = spoke.watch(t, "a well spoke", wellMesh)
	if s.Mesh.Kind != wireguard {
		t.Errorf("%+v", s)
	}
	hub.watch(t, "a well hub", wellMesh)
	stop()
	stranger.wireguard(t, "192.168.66.51/24")
	s = stranger.watch(t, "a key of another store", code(bootcode.MeshRefused))
	if !strings.Contains(s.Word.Why, "master-1 at 10.9.0.1:51820 can be reached") {
		t.Errorf("%+v", s)
	}
}

// An endpoint that moves once is a node behind another address; one that comes and
// goes is two machines.
func TestHabits(t *testing.T) {
	h, now := habits{}, noon
	for i := range 40 {
		if now = now.Add(30 * time.Second); h.twin("worker-1", "203.0.113.9:1", now) || h.twin("worker-2", []string{"203.0.113.9:2", "198.51.100.7:2"}[i/20], now) {
			t.Fatalf("after %d looks", i)
		}
	}
	for i := range 6 {
		now = now.Add(30 * time.Second)
		if got := h.twin("worker-1", []string{"203.0.113.9:1", "198.51.100.7:1"}[i%2], now); got != (i >= tooMany-1) {
			t.Errorf("after %d changes: %v", i, got)
		}
	}
	if now = now.Add(habitEnd + time.Second); h.twin("worker-1", "203.0.113.9:1", now) {
		t.Error("it never ends")
	}
}
