package lab

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// fixture is what containers are made of, and those that were made.
type fixture struct {
	wire         *Network
	tree, images string
	extensions   []string
	nodes        []*Node
}

// Containers makes what all nodes are made of, and the network that they are plugged to.
func (t *Trial) Containers(ctx context.Context) (err error) {
	if err := t.raiseLimits(); err != nil {
		return err
	}
	t.live("making the tree of the base")
	if t.tree, err = t.treeOf(ctx, t.Plan.OS.Format); err != nil {
		return err
	}
	t.live("making the container images")
	if t.images, err = t.ImageStore(ctx, t.Plan.Images); err != nil {
		return err
	}
	own := []string{"etcdctl"} // for checks
	if t.Plan.Network.Mesh == "wireguard" {
		own = append(own, "wireguard-go") // for the lab's own unit: see the override
	}
	if t.extensions, err = t.Extensions(ctx, t.Plan, own...); err != nil {
		return err
	}
	if t.wire, err = t.Network(ctx, gatewayOf(t.Plan)); err != nil {
		return err
	}
	return t.wire.provide(ctx, metadataAddresses(t.Plan), t.Plan.Settings.DNS, t.names())
}

// Make makes a container with a payload of the output folder, such as
// roles/master.ign, and leaves it switched off.
func (t *Trial) Make(ctx context.Context, name, payload string) (*Node, error) {
	data, err := t.Payload(payload)
	if err != nil {
		return nil, err
	}
	return t.MakeFrom(ctx, name, data)
}

// MakeFrom is Make with the bytes of a payload.
func (t *Trial) MakeFrom(ctx context.Context, name string, payload []byte) (*Node, error) {
	return t.make(ctx, NodeOptions{Name: name, Payload: payload})
}

// make makes a container of what all nodes are made of, where o does not say otherwise.
func (t *Trial) make(ctx context.Context, o NodeOptions) (*Node, error) {
	o.Tree, o.Extensions, o.Network, o.Address = t.tree, t.extensions, t.wire, t.below(o.Name)
	o.Store = cmp.Or(o.Store, t.images)
	n, err := t.Lab.Make(ctx, o)
	if err != nil {
		return nil, err
	}
	if len(t.Plan.Settings.DNS) == 0 {
		// DHCP would say where names are asked for.
		text := "[Resolve]\nDNS=" + t.wire.gateway.Addr().String() + "\n"
		if err := add(n.root, labNames, text); err != nil {
			return nil, err
		}
	}
	t.nodes = append(t.nodes, n)
	t.result.Nodes = append(t.result.Nodes, o.Name)
	return n, nil
}

// labNames tells a node where names are asked for, where its payload does not.
const labNames = "etc/systemd/resolved.conf.d/90-imgforge-lab.conf"

// nodesOf are the containers of a role.
func (t *Trial) nodesOf(role string) (nodes []*Node) {
	for _, n := range t.nodes {
		if made, ok := t.Plan.Node(n.Name); ok && made.Role == role {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// masters are the containers that run the control plane.
func (t *Trial) masters() []*Node { return t.nodesOf(plan.Master) }

// PowerOn powers nodes on, all at once, and returns when the first got power.
func PowerOn(ctx context.Context, nodes []*Node) (time.Time, error) {
	err := together(nodes, func(n *Node) error { return n.PowerOn(ctx) })
	var first time.Time
	for _, n := range nodes {
		if first.IsZero() || n.PoweredOn.Before(first) {
			first = n.PoweredOn
		}
	}
	return first, err
}

// powerCycle cuts the power of all nodes, then gives it back.
func (t *Trial) powerCycle(ctx context.Context) (time.Time, error) {
	if err := together(t.nodes, func(n *Node) error { return n.PowerOff(ctx) }); err != nil {
		return time.Time{}, fmt.Errorf("power off: %w", err)
	}
	return PowerOn(ctx, t.nodes)
}

// HowToLook says how a person gets into the nodes, one line for each.
func (t *Trial) HowToLook() string {
	var b strings.Builder
	for _, n := range t.nodes {
		if n.leader != 0 {
			fmt.Fprintf(&b, "  %-10s nsenter --target %d --all --wd=/\n", n.Name, n.leader)
		}
	}
	for _, v := range t.machines {
		fmt.Fprintf(&b, "  %-10s tail -f %s\n", v.Name, v.artifact("console.log"))
	}
	return b.String()
}
