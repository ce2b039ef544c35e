package lab

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/testtool"
)

// wireOfTwo is a switch with two machines, a and b.
func wireOfTwo(t *testing.T) (*Network, []*Node) {
	t.Helper()
	testtool.Root(t)
	l, err := New(t.Context(), Config{Cache: t.TempDir(), Artifacts: t.TempDir(), Log: t.Output(),
		Tool: func(program string) (string, error) { return testtool.Path(t, program), nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Errorf("leave nothing behind: %v", err)
		}
	})
	wire, err := l.Network(t.Context(), netip.MustParsePrefix("10.98.0.254/24"))
	if err != nil {
		t.Fatal(err)
	}
	var nodes []*Node
	for i, name := range []string{"a", "b"} {
		n := &Node{Name: name, lab: l, netns: l.id + "-" + name, made: NodeOptions{Network: wire}}
		l.later(n.netns, func(ctx context.Context) error { return l.removeNamespace(ctx, n.netns) })
		if n.port, err = wire.plug(t.Context(), n.netns, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 98, 0, byte(1 + i)}), 24)); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	return wire, nodes
}

// sends has a send bytes to b, and is what b got of them.
func sends(t *testing.T, a, b *Node, data []byte, patience time.Duration) ([]byte, error) {
	t.Helper()
	var listener net.Listener
	err := within(b.netns, func() (err error) {
		listener, err = net.Listen("tcp4", "10.98.0.2:7")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			conn.SetDeadline(time.Now().Add(patience))
			io.Copy(conn, conn) // an echo: both directions carry large frames
			conn.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := dialler(a.netns)(ctx, "tcp4", "10.98.0.2:7")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	go func() {
		conn.Write(data)
		conn.(*net.TCPConn).CloseWrite()
	}()
	return io.ReadAll(conn)
}

// Whatever is done to the wire is undone: bytes arrive whole before, while it only makes
// them late or loses some, and after; none does while machines are parted or unplugged.
func TestWireFaults(t *testing.T) {
	wire, nodes := wireOfTwo(t)
	ctx, a, b := t.Context(), nodes[0], nodes[1]
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	var late *relay
	for _, step := range []struct {
		name  string
		do    func() error
		whole bool
	}{
		{"as it is", func() error { return nil }, true},
		{"late", func() (err error) { late, err = wire.delayed(ctx, a.port, 20*time.Millisecond); return err }, true},
		{"no longer late", func() error { return late.remove(ctx) }, true},
		{"some are lost", func() error { return wire.rules(ctx, lossy(5, a)...) }, true},
		{"parted", func() error { return wire.rules(ctx, parted([]*Node{a}, []*Node{b})...) }, false},
		{"no longer parted", func() error { return wire.rules(ctx) }, true},
		{"unplugged", func() error { return wire.plugged(ctx, b.port, "down") }, false},
		{"plugged", func() error { return wire.plugged(ctx, b.port, "up") }, true},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		patience := 20 * time.Second
		if !step.whole {
			patience = 500 * time.Millisecond
		}
		got, err := sends(t, a, b, data, patience)
		if whole := bytes.Equal(got, data); whole != step.whole {
			t.Errorf("%s: %d of %d bytes came back: %v", step.name, len(got), len(data), err)
		}
	}
	if late.passed.Load() == 0 {
		t.Error("nothing passed the relay")
	}
}
