package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
)

// Network is a switch in a namespace of its own, which stands for the
// provider's private network. Nothing leads out of it.
type Network struct {
	lab   *Lab
	netns string
	// gateway is the switch's own address.
	gateway netip.Prefix
	ports   int
}

// Network makes a switch whose own address is the nodes' gateway.
func (l *Lab) Network(ctx context.Context, gateway netip.Prefix) (*Network, error) {
	n := &Network{lab: l, netns: l.id + "-wire", gateway: gateway}
	if err := l.namespace(ctx, n.netns); err != nil {
		return nil, fmt.Errorf("make a network: %w", err)
	}
	err := l.runAll(ctx,
		[]string{"ip", "-netns", n.netns, "link", "add", "br0", "type", "bridge"},
		[]string{"ip", "-netns", n.netns, "address", "add", gateway.String(), "dev", "br0"},
		[]string{"ip", "-netns", n.netns, "link", "set", "br0", "up"},
	)
	if err != nil {
		return nil, fmt.Errorf("make a network: %w", err)
	}
	return n, nil
}

// plug makes a namespace for a node, with eth0 on the switch, and returns its
// name. A valid address is set, with a route, as the provider's DHCP would.
func (n *Network) plug(ctx context.Context, node string, address netip.Prefix) (string, error) {
	n.ports++
	netns, port := n.lab.id+"-"+node, fmt.Sprintf("port%d", n.ports)
	if err := n.lab.namespace(ctx, netns); err != nil {
		return "", fmt.Errorf("plug %s: %w", node, err)
	}
	commands := [][]string{
		{"ip", "-netns", n.netns, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", netns},
		{"ip", "-netns", n.netns, "link", "set", port, "master", "br0", "up"},
	}
	if address.IsValid() {
		commands = append(commands,
			[]string{"ip", "-netns", netns, "address", "add", address.String(), "dev", "eth0"},
			[]string{"ip", "-netns", netns, "link", "set", "eth0", "up"},
			[]string{"ip", "-netns", netns, "route", "add", "default", "via", n.gateway.Addr().String()},
		)
	}
	err := n.lab.runAll(ctx, commands...)
	if err != nil {
		return "", fmt.Errorf("plug %s: %w", node, err)
	}
	return netns, nil
}

// namespace makes a network namespace that Close removes.
func (l *Lab) namespace(ctx context.Context, name string) error {
	if _, err := l.run(ctx, "ip", "netns", "add", name); err != nil {
		return err
	}
	l.later("network namespace "+name, func(ctx context.Context) error { return l.removeNamespace(ctx, name) })
	_, err := l.run(ctx, "ip", "-netns", name, "link", "set", "lo", "up")
	return err
}

// removeNamespace removes a network namespace, if it is there.
func (l *Lab) removeNamespace(ctx context.Context, name string) error {
	if _, err := os.Stat("/run/netns/" + name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err := l.run(ctx, "ip", "netns", "delete", name)
	return err
}
