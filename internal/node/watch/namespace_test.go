package watch

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/machine"
)

// lookAt makes this program look at the mesh of the node below that folder, until it
// is ended: a look must run inside the network namespace of its node.
const lookAt = "IMGFORGE_TEST_LOOK_AT"

func TestMain(m *testing.M) {
	if root := os.Getenv(lookAt); root != "" {
		if err := lookOn(root); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// seen is what such a program prints, a line per look.
type seen struct {
	Mesh Mesh
	Word Word
}

func lookOn(root string) error {
	l, err := newLooker(Options{Root: root, disks: roomy, Programs: root + "/bin:" + programDirs}.orDefault())
	if err != nil {
		return err
	}
	for out := json.NewEncoder(os.Stdout); ; time.Sleep(time.Second) {
		ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
		f := Facts{Node: l.node, Cluster: l.cluster, Mesh: l.mesh.look(ctx)}
		cancel()
		if err := out.Encode(seen{f.Mesh, decideMesh(f)}); err != nil {
			return nil // nobody wants to know any more
		}
	}
}

// node is a network namespace with a node's files.
type node struct {
	ns   string
	root string
	log  string // of its tincd
}

// newNode makes a namespace with loopback up, on a cable into the wire.
func newNode(t *testing.T, c machine.Cluster, name string, slot int, wire string) *node {
	t.Helper()
	n := &node{ns: namespace(t, name), root: c.Root(t, name)}
	n.log = filepath.Join(n.root, "tincd.log")
	machine.Write(t, n.root, "/tincd.log", "", 0o644)
	machine.Write(t, n.root, "/bin/journalctl", "#!/bin/sh\ncat "+n.log+"\n", 0o755)
	ip(t, wire, fmt.Sprintf("link add port%d type veth peer name eth0 netns %s", slot, n.ns))
	ip(t, wire, fmt.Sprintf("link set port%d up master bridge", slot))
	ip(t, n.ns, fmt.Sprintf("address add 10.9.0.%d/24 dev eth0", slot))
	ip(t, n.ns, "link set eth0 up")
	return n
}

func namespace(t *testing.T, name string) string {
	t.Helper()
	testtool.Root(t)
	ns := fmt.Sprintf("imgforge-watch-%d-%s", os.Getpid(), name)
	for i := 2; exec.Command("ip", "netns", "add", ns).Run() != nil; i++ {
		if ns = fmt.Sprintf("imgforge-watch-%d-%s-%d", os.Getpid(), name, i); i > 5 {
			testtool.Skip(t, "network namespaces are needed")
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", ns).CombinedOutput(); err != nil {
			t.Errorf("delete namespace: %v: %s", err, out)
		}
	})
	ip(t, ns, "link set lo up")
	return ns
}

// newWire is a switch for up to a few nodes.
func newWire(t *testing.T) string {
	t.Helper()
	wire := namespace(t, "wire")
	ip(t, wire, "link add bridge type bridge")
	ip(t, wire, "link set bridge up")
	return wire
}

func ip(t *testing.T, ns, words string) {
	t.Helper()
	if out, err := exec.Command("ip", append([]string{"-n", ns}, strings.Fields(words)...)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", words, err, out)
	}
}

// start runs a program inside the namespace until the test ends, or stop is called.
func (n *node) start(t *testing.T, cmd *exec.Cmd) (stop func()) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
		}
	}
	t.Cleanup(stop)
	return stop
}

// command is a program that will run inside the namespace.
func (n *node) command(program string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.ns, program}, args...)...)
}

// watch looks at the node's mesh until what it sees is what is wanted.
func (n *node) watch(t *testing.T, what string, wanted func(s seen) bool) seen {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := n.command(self)
	cmd.Env = append(os.Environ(), lookAt+"="+n.root)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer n.start(t, cmd)()
	found := make(chan seen, 1)
	last := seen{}
	go func() {
		defer close(found)
		for in := bufio.NewScanner(pipe); in.Scan(); {
			var s seen
			if json.Unmarshal(in.Bytes(), &s) != nil {
				return
			}
			if last = s; wanted(s) {
				found <- s
				return
			}
		}
	}()
	select {
	case s, ok := <-found:
		if ok {
			return s
		}
	case <-time.After(240 * time.Second):
	}
	t.Fatalf("%s: never seen; last %+v", what, last)
	return last
}
