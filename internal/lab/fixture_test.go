//go:build lab

package lab

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/forge"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// bench is a lab with a built cluster in it.
type bench struct {
	*Lab
	plan *plan.Plan
	out  string // folder that imgforge build wrote
	wire *Network

	tree, programs, store string
}

// newBench builds the cluster of testdata/NAME.yaml and makes what its nodes are made of.
func newBench(t *testing.T, ctx context.Context, name string) *bench {
	t.Helper()
	testtool.Root(t)
	b := &bench{Lab: newLab(t)}
	b.build(t, ctx, filepath.Join("testdata", name+".yaml"))
	var err error
	if b.tree, err = b.Tree(ctx); err != nil {
		t.Fatal(err)
	}
	if b.store, err = b.ImageStore(ctx, b.plan.Images); err != nil {
		t.Fatal(err)
	}
	if b.programs, err = b.Programs("imgforge-node", "kubelet", "kubectl", "containerd", "containerd-shim-runc-v2", "ctr", "etcdctl",
		"cni-bridge", "cni-host-local", "cni-loopback", "cni-portmap"); err != nil {
		t.Fatal(err)
	}
	if b.wire, err = b.Network(ctx, netip.MustParsePrefix("10.99.0.254/24")); err != nil {
		t.Fatal(err)
	}
	return b
}

func newLab(t *testing.T) *Lab {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "imgforge", "lab")
	helper := sync.OnceValues(func() (string, error) { return buildHelper(t) })
	l, err := New(t.Context(), Config{Cache: cache, Artifacts: t.ArtifactDir(), Log: t.Output(), Tool: func(name string) (string, error) {
		if name == "imgforge-node" {
			return helper()
		}
		return testtool.Path(t, name), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		hold(t)
		if err := l.Close(context.Background()); err != nil {
			t.Errorf("leave nothing behind: %v", err)
		}
	})
	return l
}

// signalled is the test's context, which ends on an interrupt too: what the lab
// made is then cleaned up as after any other failure.
func signalled(t *testing.T) context.Context {
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop)
	return ctx
}

// hold keeps the nodes for as long as the file that IMGFORGE_LAB_HOLD names is there.
func hold(t *testing.T) {
	path := os.Getenv("IMGFORGE_LAB_HOLD")
	if path == "" {
		return
	}
	t.Logf("nodes stay until %s is removed", path)
	for {
		if _, err := os.Stat(path); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

func buildHelper(t *testing.T) (string, error) {
	path := filepath.Join(t.TempDir(), "imgforge-node")
	root, err := testtool.ModuleRoot()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/imgforge-node")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build imgforge-node: %w\n%s", err, out)
	}
	return path, nil
}

// build does what `imgforge pki init` and `imgforge build` do.
func (b *bench) build(t *testing.T, ctx context.Context, file string) {
	t.Helper()
	home := t.TempDir()
	app := &forge.App{Now: time.Now, Rand: rand.Reader, Log: t.Output(), Getenv: func(name string) string {
		return map[string]string{"HOME": home}[name]
	}}
	src := forge.Source{File: file, Store: filepath.Join(t.TempDir(), "store")}
	if _, err := app.PKIInit(ctx, src); err != nil {
		t.Fatal(err)
	}
	b.out = filepath.Join(t.TempDir(), "out")
	if _, err := app.Build(ctx, forge.BuildOptions{Source: src, Out: b.out}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(b.out, "secret", "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &b.plan); err != nil {
		t.Fatal(err)
	}
}

// boot powers a node on with a payload of the output folder, such as roles/master.ign.
func (b *bench) boot(t *testing.T, ctx context.Context, name, payload string) *Node {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.out, "secret", payload))
	if err != nil {
		t.Fatal(err)
	}
	n, err := b.Boot(ctx, NodeOptions{Name: name, Payload: data, Tree: b.tree, Programs: b.programs, Store: b.store, Network: b.wire, Address: b.below(name)})
	if err != nil {
		t.Fatal(err)
	}
	// Nodes do not apply add-ons yet: the lab puts beside them what the tests apply.
	for _, name := range []string{"bindings.yaml", "bridge.conflist"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(n.root, "root", name), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// below is the address that the provider's DHCP would give to a node: none when
// the payload sets its own.
func (b *bench) below(name string) netip.Prefix {
	if b.plan.Network.Mesh == "none" {
		return netip.Prefix{}
	}
	for i, n := range b.plan.Nodes {
		if n.Name != name {
			continue
		}
		host, _, _ := strings.Cut(n.Endpoint, ":")
		address, err := netip.ParseAddr(host)
		if err != nil {
			address = netip.AddrFrom4([4]byte{10, 99, 0, byte(100 + i)})
		}
		return netip.PrefixFrom(address, 24)
	}
	return netip.Prefix{}
}

// reaches waits until something holds on a node and notes when, counted from its power-on.
func reaches(t *testing.T, ctx context.Context, n *Node, what string, check func(context.Context) error) error {
	t.Helper()
	if err := Await(ctx, what, check); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	t.Logf("%6.1f s  %s: %s", time.Since(n.PoweredOn).Seconds(), n.Name, what)
	return nil
}

// runs is a check that a command succeeds inside the node.
func (n *Node) runs(args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		_, err := n.Run(ctx, args...)
		return err
	}
}
