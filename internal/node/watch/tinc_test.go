package watch

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/machine"
)

const tincCluster = `{name: a, platform: {provider: metal}, endpoint: {mode: local},
	roles: {master: {count: 1, reserve: 0, nodes: [{endpoint: 10.9.0.1}]}, worker: {count: 1, reserve: 0}}}`

// tincd runs the real program on the node's rendered files.
func (n *node) tincd(t *testing.T) (stop func()) {
	t.Helper()
	dir := filepath.Join(n.root, "/etc/tinc/a")
	conf := filepath.Join(dir, "tinc.conf")
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte(strings.ReplaceAll(string(text), "= /etc/tinc/a", "= "+dir)), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(n.log, os.O_WRONLY|os.O_TRUNC|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := n.command(testtool.Path(t, "tincd"), "-D", "-c", dir, "--pidfile="+n.root+"/tincd.pid")
	cmd.Stderr = log
	return n.start(t, cmd)
}

func code(number int) func(s seen) bool {
	return func(s seen) bool { return s.Word.Code == number }
}

func wellMesh(s seen) bool { return s.Word.Outcome == Reached && s.Mesh.Answered > 0 }

// needTun skips where no mesh can be made.
func needTun(t *testing.T) {
	t.Helper()
	testtool.Root(t)
	testtool.Path(t, "tincd")
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		testtool.Skip(t, "/dev/net/tun is needed: %v", err)
	}
}

// Real tincd daemons on rendered files: a good mesh, then one thing wrong after the
// other, each with its code.
func TestTincMesh(t *testing.T) {
	t.Parallel()
	needTun(t)
	c, wire := machine.New(t, tincCluster), newWire(t)
	hub, spoke := newNode(t, c, "master-1", 1, wire), newNode(t, c, "worker-1", 2, wire)
	spoke.watch(t, "a node without its mesh", func(s seen) bool {
		return s.Word.Code == bootcode.MeshDown && strings.Contains(s.Word.Why, "192.168.66.51 is not on mesh0")
	})
	spoke.tincd(t)
	s := spoke.watch(t, "a hub that is off", code(bootcode.NoPeer))
	if !strings.Contains(s.Word.Why, "master_1 at 10.9.0.1:655 cannot be reached") {
		t.Errorf("%+v", s)
	}
	hub.tincd(t)
	spoke.watch(t, "a well spoke", wellMesh)
	hub.watch(t, "a well hub", wellMesh)

	ip(t, hub.ns, "address add 192.168.66.51/32 dev mesh0")
	s = spoke.watch(t, "an address that the hub has too", code(bootcode.AddressTaken))
	if want := "hardware address 02:69:c0:a8:42:0b on mesh0 answers for 192.168.66.51"; !strings.Contains(s.Word.Why, want) {
		t.Errorf("%+v", s)
	}
	ip(t, hub.ns, "address del 192.168.66.51/32 dev mesh0")
	spoke.watch(t, "a well spoke again", wellMesh)

	other := namespace(t, "thief")
	ip(t, wire, "link add port9 type veth peer name eth0 netns "+other)
	ip(t, wire, "link set port9 up master bridge")
	ip(t, other, "link set eth0 up address 02:00:00:00:00:99")
	ip(t, other, "address add 10.9.0.2/24 dev eth0")
	s = spoke.watch(t, "an address outside of the mesh", code(bootcode.AddressTaken))
	if !strings.Contains(s.Word.Why, "02:00:00:00:00:99 on eth0 answers for 10.9.0.2") {
		t.Errorf("%+v", s)
	}
}

// A spoke whose payload is from another store is kept out, and both ends say so.
func TestTincWrongKey(t *testing.T) {
	t.Parallel()
	needTun(t)
	ours, theirs, wire := machine.New(t, tincCluster), machine.New(t, tincCluster), newWire(t)
	hub := newNode(t, ours, "master-1", 1, wire)
	hub.tincd(t)
	spoke := newNode(t, theirs, "worker-1", 2, wire)
	stop := spoke.tincd(t)
	s := spoke.watch(t, "a spoke of another store", code(bootcode.MeshRefused))
	if !strings.Contains(s.Word.Why, "master_1 at 10.9.0.1:655 can be reached") || s.Word.Outcome != Passing {
		t.Errorf("%+v", s)
	}
	stop()
	// The hub knows this one's name, and its hub's key is right: only its own is not.
	own := ours.Root(t, "worker-1")
	machine.Copy(t, filepath.Join(own, "/etc/tinc/a/hosts/master_1"), filepath.Join(spoke.root, "/etc/tinc/a/hosts/master_1"))
	stop = spoke.tincd(t)
	s = hub.watch(t, "a stranger at the hub, or its complaint", func(h seen) bool {
		text, _ := os.ReadFile(spoke.log)
		return h.Word.Code == bootcode.PeerRefused || refusals(strings.Split(string(text), "\n")) != nil
	})
	t.Logf("hub: %+v", s.Word)
	spoke.watch(t, "a spoke with a wrong key", code(bootcode.MeshRefused))
	stop()
	// Half of the files are those of another store.
	machine.Copy(t, filepath.Join(own, "/etc/tinc/a/hosts/worker_1"), filepath.Join(spoke.root, "/etc/tinc/a/hosts/worker_1"))
	s = spoke.watch(t, "a key that is not the node's", code(bootcode.MeshRefused))
	if !strings.Contains(s.Word.Why, "/etc/tinc/a/rsa_key.priv does not belong to the public one in /etc/tinc/a/hosts/worker_1") || strings.Contains(s.Word.Why, spoke.root) || s.Word.Outcome != Final {
		t.Errorf("%+v", s)
	}
}

// Two machines that booted the same payload take the connection from each other.
func TestTincTwin(t *testing.T) {
	t.Parallel()
	needTun(t)
	c, wire := machine.New(t, tincCluster), newWire(t)
	newNode(t, c, "master-1", 1, wire).tincd(t)
	one, two := newNode(t, c, "worker-1", 2, wire), newNode(t, c, "worker-1", 3, wire)
	one.tincd(t)
	one.watch(t, "one", wellMesh)
	two.tincd(t)
	one.watch(t, "a twin", code(bootcode.MeshTwin))
}

// What tincd 1.0.36 logs, by which side has which wrong key.
func TestRefusals(t *testing.T) {
	for log, want := range map[string]string{
		"tincd 1.0.36 starting, debug level 0\n/dev/net/tun is a Linux tun/tap device (tap mode)\nReady":                                                                               "",
		"Possible intruder a (10.9.0.1 port 655): wrong challenge length\nError while processing CHALLENGE from a (10.9.0.1 port 655)\nBogus data received from a (10.9.0.1 port 655)": "a at 10.9.0.1 uses another key",
		"Error during decryption of meta key for b (10.9.0.2 port 34795): error:02000084:rsa routines::data too large for modulus\nBogus data received from b (10.9.0.2 port 52965)":   "b at 10.9.0.2 uses another key",
		"Peer 10.9.0.2 port 40387 had unknown identity (b)\nError while processing ID from b (10.9.0.2 port 40387)":                                                                    "b at 10.9.0.2 is not known here",
		"Bogus data received from <unknown> (198.51.100.7 port 4711)":                                                                                                                  "",
	} {
		if got := strings.Join(refusals(strings.Split(log, "\n")), "; "); got != want {
			t.Errorf("%q: %q, want %q", log, got, want)
		}
	}
}

// A connection that is another one again and again is two machines' when this one was
// ever let in; before that its key is why it is sent away.
func TestTincConnectionsThatChange(t *testing.T) {
	hub, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	where := hub.Addr().(*net.TCPAddr)
	dir := t.TempDir()
	for path, text := range map[string]string{"tinc.conf": "Name = worker_1\nConnectTo = master_1\n", "hosts/master_1": fmt.Sprintf("Address = 127.0.0.1 %d\n", where.Port)} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, answered := range []int{0, 1} {
		m := meshLooker{o: Options{Now: func() time.Time { return noon }, Programs: t.TempDir()}, dir: dir, habits: habits{}}
		for i := range 2 * tooMany {
			c, err := net.Dial("tcp", where.String())
			if err != nil {
				t.Fatal(err)
			}
			out := Mesh{Answered: answered}
			m.lookTinc(t.Context(), &out)
			c.Close()
			if got, want := len(out.Twins) > 0, answered > 0 && i >= tooMany-1; got != want {
				t.Errorf("answered %d, after %d connections: %q", answered, i+1, out.Twins)
			}
			for range 2 - answered { // lookTinc's own comes when nobody answers
				a, err := hub.Accept()
				if err != nil {
					t.Fatal(err)
				}
				a.Close()
			}
		}
	}
}
