package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"sync/atomic"
)

// Network is a switch in a namespace of its own, which stands for the
// provider's private network. Nothing leads out of it.
type Network struct {
	lab   *Lab
	netns string
	// gateway is the switch's own address.
	gateway netip.Prefix
	ports   atomic.Int32
	asked   atomic.Int64 // questions to the DNS server
}

// Network makes a switch whose own address is the nodes' gateway.
func (l *Lab) Network(ctx context.Context, gateway netip.Prefix) (*Network, error) {
	n := &Network{lab: l, netns: l.id + "-wire", gateway: gateway}
	l.later("network namespace "+n.netns, func(ctx context.Context) error { return l.removeNamespace(ctx, n.netns) })
	if err := l.namespace(ctx, n.netns); err != nil {
		return nil, fmt.Errorf("make a network: %w", err)
	}
	err := l.runAll(ctx,
		[]string{"ip", "-netns", n.netns, "link", "add", "br0", "type", "bridge"},
		[]string{"ip", "-netns", n.netns, "address", "add", gateway.String(), "dev", "br0"},
		[]string{"ip", "-netns", n.netns, "link", "set", "br0", "up"},
		[]string{"ip", "-netns", n.netns, "route", "add", "default", "dev", "br0"}, // to whoever is on the wire
	)
	if err != nil {
		return nil, fmt.Errorf("make a network: %w", err)
	}
	return n, nil
}

// plug makes the network namespace of a node, with eth0 on the switch, and
// returns the switch's port. A valid address is set, with a route, as the
// provider's DHCP would.
func (n *Network) plug(ctx context.Context, netns string, address netip.Prefix) (port string, err error) {
	port = fmt.Sprintf("port%d", n.ports.Add(1))
	if err := n.lab.namespace(ctx, netns); err != nil {
		return "", err
	}
	commands := [][]string{
		{"ip", "-netns", n.netns, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", netns},
		{"ip", "-netns", n.netns, "link", "set", port, "master", "br0", "up"},
	}
	if address.IsValid() {
		commands = append(commands,
			[]string{"ip", "-netns", netns, "address", "add", address.String(), "dev", "eth0"},
			[]string{"ip", "-netns", netns, "link", "set", "eth0", "up"},
		)
		route := []string{"ip", "-netns", netns, "route", "add", "default", "via", n.gateway.Addr().String()}
		if address.IsSingleIP() {
			route = []string{"ip", "-netns", netns, "route", "add", "default", "dev", "eth0"}
		}
		commands = append(commands, route)
	}
	return port, n.lab.runAll(ctx, commands...)
}

// unplug removes a port and the node's end of it. The namespace of a dead node
// lives on for as long as the kernel still ends its connections, and must
// neither say goodbye to its peers nor answer for its address.
func (n *Network) unplug(ctx context.Context, port string) error {
	_, err := n.lab.run(ctx, "ip", "-netns", n.netns, "link", "delete", port)
	return err
}

// namespace makes a network namespace.
func (l *Lab) namespace(ctx context.Context, name string) error {
	return l.runAll(ctx,
		[]string{"ip", "netns", "add", name},
		[]string{"ip", "-netns", name, "link", "set", "lo", "up"},
	)
}

// removeNamespace removes a network namespace, if it is there.
func (l *Lab) removeNamespace(ctx context.Context, name string) error {
	if _, err := os.Stat("/run/netns/" + name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err := l.run(ctx, "ip", "netns", "delete", name)
	return err
}
