package profiles

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/pki/tinc"
)

func TestSplitEndpoint(t *testing.T) {
	for endpoint, want := range map[string]string{
		"203.0.113.10":             "203.0.113.10 655",
		"203.0.113.10:7000":        "203.0.113.10 7000",
		"master-1.example.org":     "master-1.example.org 655",
		"master-1.example.org:700": "master-1.example.org 700",
		"2001:db8::1":              "2001:db8::1 655",
		"[2001:db8::1]":            "2001:db8::1 655",
		"[2001:db8::1]:7000":       "2001:db8::1 7000",
	} {
		host, port := splitEndpoint(endpoint, 655)
		if got := host + " " + port; got != want {
			t.Errorf("%s is %q, want %q", endpoint, got, want)
		}
		if joined := joinEndpoint(host, port); strings.Contains(host, ":") != strings.HasPrefix(joined, "[") {
			t.Errorf("%s is joined as %s", endpoint, joined)
		}
	}
}

// TestHostFiles: a node carries the host files of its peers and its own, however
// they are divided between what its role shares and what is the node's alone.
func TestHostFiles(t *testing.T) {
	mixed := planOf(t, `{name: a, platform: {provider: metal}, network: {operators: [ana]}, endpoint: {mode: local},
		roles: {master: {count: 3, nodes: [{endpoint: 203.0.113.1}]}, worker: {count: 2, nodes: [{}, {endpoint: 203.0.113.9}]}}}`, plan.Facts{})
	for _, p := range []*plan.Plan{example(t, "scaleway-ha"), mixed} {
		dir := tincDir(p.Network) + "/hosts/"
		for _, n := range p.Nodes {
			var want, got []string
			known, err := members(p, carried(n))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range carried(n) {
				want = append(want, dir+known[name].meshName)
			}
			for _, f := range nodeDocument(t, p, n.Name).Files {
				if strings.HasPrefix(f.Path, dir) {
					got = append(got, f.Path)
				}
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s carries %v, want %v", n.Name, got, want)
			}
		}
	}
}

// TestTincPacketFits: the packet of a full mesh frame is no longer than the
// underlay's. tinc 1.0 adds a sequence number, pads to the cipher's block and
// appends the MAC; src/net_packet.c, send_udppacket.
func TestTincPacketFits(t *testing.T) {
	const ip4, udp, sequence, ethernet, block, mac = 20, 8, 4, 14, 16, 16
	if conf, err := render("common/tinc.conf", tincConf{}); err != nil || !strings.Contains(conf, fmt.Sprintf("MACLength = %d\n", mac)) {
		t.Fatalf("the MAC is not %d bytes long (%v):\n%s", mac, err, conf)
	}
	for underlay := 1428; underlay <= 1500; underlay++ {
		file := fmt.Sprintf(`{name: a, platform: {provider: libvirt}, network: {underlayMTU: %d}, roles: {master: {count: 1}}}`, underlay)
		m := planOf(t, file, plan.Facts{}).Network.MTU
		plain := sequence + ethernet + m.Mesh
		if packet := ip4 + udp + (plain/block+1)*block + mac; packet > underlay {
			t.Fatalf("a frame of %d bytes is a packet of %d on an underlay of %d", m.Mesh, packet, underlay)
		}
	}
}

// tincStore makes real keys for tinc and says everything else.
type tincStore struct {
	fakeSecrets
	keys map[string]tinc.Key
}

func (s tincStore) key(id string) (tinc.Key, bool, error) {
	if !strings.HasSuffix(id, "/tinc-rsa") {
		return tinc.Key{}, false, nil
	}
	k, ok := s.keys[id]
	if !ok {
		var err error
		if k, err = tinc.NewRSA(); err != nil {
			return k, true, err
		}
		s.keys[id] = k
	}
	return k, true, nil
}

func (s tincStore) Public(id string) ([]byte, error) {
	if k, ok, err := s.key(id); ok {
		return k.Public, err
	}
	return s.fakeSecrets.Public(id)
}

func (s tincStore) Secret(id string) ([]byte, error) {
	if k, ok, err := s.key(id); ok {
		return k.Private, err
	}
	return s.fakeSecrets.Secret(id)
}

// TestTincCarriesFrames starts tincd on a hub and two spokes from the rendered
// files and lets the spokes, who have never heard of each other, talk.
func TestTincCarriesFrames(t *testing.T) {
	tincd, wire := testtool.Path(t, "tincd"), newNamespace(t, "wire")
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		testtool.Skip(t, "/dev/net/tun is needed: %v", err)
	}
	p := planOf(t, `{name: a-b, platform: {provider: metal}, endpoint: {mode: local},
		roles: {master: {count: 1, nodes: [{endpoint: 10.9.0.1}]}, worker: {count: 2, reserve: 0}}}`, plan.Facts{})
	wire.ip(t, "link add bridge type bridge")
	wire.ip(t, "link set bridge up")
	store := tincStore{newSecrets(), map[string]tinc.Key{}}
	nodes := map[string]namespace{}
	for i, n := range p.Nodes {
		ns := newNamespace(t, n.Name)
		nodes[n.Name] = ns
		link(t, ns, "eth0", wire, fmt.Sprintf("port%d", i))
		wire.ip(t, fmt.Sprintf("link set port%d master bridge", i))
		ns.ip(t, fmt.Sprintf("address add 10.9.0.%d/24 dev eth0", i+1))
		doc, err := Node(p, n.Name, store)
		if err != nil {
			t.Fatal(err)
		}
		startTinc(t, ns, tincd, doc, p.Network)
	}
	eventually(t, "a spoke reaches the other over their hub", func() bool {
		return nodes["worker-1"].command("ping", "-c1", "-W1", "192.168.66.52").Run() == nil
	})
	if out, err := nodes["worker-1"].command("ping", "-c1", "-W2", "-Mdo", fmt.Sprintf("-s%d", p.Network.MTU.Mesh-28), "192.168.66.11").CombinedOutput(); err != nil {
		t.Errorf("a packet of the mesh's full size: %v\n%s", err, out)
	}
	if out := run(t, "ip", "-n", string(nodes["worker-2"]), "-oneline", "link", "show", "mesh0"); !strings.Contains(out, "02:69:c0:a8:42:34") {
		t.Errorf("the hardware address does not follow from 192.168.66.52: %s", out)
	}
}

// startTinc lays the document's tinc files out below a scratch folder.
func startTinc(t *testing.T, ns namespace, tincd string, doc *payload.Document, n plan.Network) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range doc.Files {
		if rest, ok := strings.CutPrefix(f.Path, tincDir(n)+"/"); ok {
			place(t, filepath.Join(dir, rest), f, strings.NewReplacer(tincDir(n), dir))
		}
	}
	cmd := ns.command(tincd, "-D", "-c", dir, "--pidfile="+dir+"/pid")
	logs, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = logs, logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // tinc 1.0 only talks more on an interrupt
		cmd.Wait()
		text, err := os.ReadFile(logs.Name())
		if err != nil || strings.Contains(string(text), "exited with") || strings.Contains(string(text), "nsecure") {
			t.Errorf("tincd of %s complains (%v):\n%s", doc.Target, err, text)
		}
	})
}

func place(t *testing.T, path string, f artifact.File, rebased *strings.Replacer) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	mode := os.FileMode(f.Mode)
	if mode == 0 {
		mode = 0o644
	}
	if err := os.WriteFile(path, []byte(rebased.Replace(string(f.Contents))), mode); err != nil {
		t.Fatal(err)
	}
	if f.Group == "" {
		return
	}
	group, err := user.LookupGroup(f.Group)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(group.Gid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 0, gid); err != nil {
		t.Fatal(err)
	}
}

// TestMeshWait runs the script beside an interface that gets its address later.
func TestMeshWait(t *testing.T) {
	ns := newNamespace(t, "wait")
	script := contents(t, nodeDocument(t, example(t, "scaleway-ha"), "worker-1"), meshWaitPath)
	ns.ip(t, "link add mesh0 type veth")
	ns.ip(t, "address add 192.168.66.5/24 dev mesh0") // a prefix of what it waits for
	cmd := ns.command("sh", scratch(t, "mesh-wait.sh", script))
	cmd.Env = append(os.Environ(), "MESH_INTERFACE=mesh0", "MESH_ADDRESS=192.168.66.51")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(1500 * time.Millisecond):
	}
	ns.ip(t, "address add 192.168.66.51/24 dev mesh0")
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		cmd.Process.Kill()
		t.Error("it still waits")
	}
}

// TestMeshResolve stands a recorder in the place of wg: only peers that the
// interface has and that are silent are looked up again, and a name that does
// not resolve stops nobody else's turn.
func TestMeshResolve(t *testing.T) {
	bin, recorded := t.TempDir(), filepath.Join(t.TempDir(), "calls")
	wg := `#!/bin/sh
[ "$1" = set ] || { printf 'lively\t%s\nsilent\t%s\nnever\t0\nlost\t0\n' "$(date +%s)" 1000; exit; }
echo "$*" >>` + recorded + `
[ "$4" != lost ]
`
	if err := os.WriteFile(filepath.Join(bin, "wg"), []byte(wg), 0o755); err != nil {
		t.Fatal(err)
	}
	peers := scratch(t, "peers", "lost gone.example.org:1\nlively a.example.org:1\nsilent b.example.org:1\nnever c.example.org:1\nstranger d.example.org:1\n")
	script := contents(t, nodeDocument(t, example(t, "exoscale"), "worker-1"), meshResolvePath)
	cmd := exec.Command("sh", scratch(t, "mesh-resolve.sh", script), "wg0", peers)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "gone.example.org:1 does not resolve yet\n" {
		t.Errorf("%v: %s", err, out)
	}
	got, err := os.ReadFile(recorded)
	want := "set wg0 peer lost endpoint gone.example.org:1\nset wg0 peer silent endpoint b.example.org:1\nset wg0 peer never endpoint c.example.org:1\n"
	if err != nil || string(got) != want {
		t.Errorf("%v: it set\n%swant\n%s", err, got, want)
	}
}
