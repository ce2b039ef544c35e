package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

const classLink = "cut and heal a link"

// cutFor is how long a link is cut: long enough for whoever waits for it to give up,
// and not so long that the API calls the node lost, which is a row of its own.
const cutFor = 25 * time.Second

// linkRows cut each node's link.
func linkRows(p *plan.Plan) (rows []Fault) {
	add := func(name string, at where, short bool) {
		rows = append(rows, Fault{Class: classLink, Name: fmt.Sprintf("cut the link of %s for %s", name, cutFor), Short: short, Serves: true, Do: cutLink(at)})
	}
	if p.Endpoint.Mode == "vip" {
		add("the holder of the "+floatingAddress, holding(floatingAddress), true)
	}
	add("etcd's leader", leading, p.Endpoint.Mode != "vip")
	if role, ok := p.Role(plan.Proxy); ok && role.PublicIP != "" && role.Count > 0 {
		add("the holder of the "+publicAddress, holding(publicAddress), false)
	}
	for _, n := range notReserved(p, "") {
		add(n.Name, called(n.Name), false)
	}
	for _, role := range []string{plan.Master, plan.Worker} {
		name := notReserved(p, role)[0].Name
		rows = append(rows, Fault{Class: classLink, Name: fmt.Sprintf("cut the link of %s until the API calls it lost", name), Serves: true, Do: loseLink(name)})
	}
	return rows
}

func cutLink(at where) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		n, err := at(ctx, b)
		if err != nil {
			return "", err
		}
		b.Aside(n)
		return "the switch's port of " + n.Name + " was down", b.during(ctx, cutFor, b.pull(n, "down"), b.pull(n, "up"), b.serving)
	}
}

// pull sets the port of a node.
func (b *bout) pull(n *Node, state string) func(context.Context) error {
	return func(ctx context.Context) error { return b.wire.plugged(ctx, n.port, state) }
}

// loseLink cuts a link until the node is not Ready, and its pods are lost to their Services.
func loseLink(name string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		n, err := b.Named(name)
		if err != nil {
			return "", err
		}
		b.Aside(n)
		lost := time.Duration(0)
		err = b.during(ctx, cutFor, b.pull(n, "down"), b.pull(n, "up"), func(ctx context.Context) (err error) {
			lost, err = b.Wait(ctx, "the API calls it lost", 3*time.Minute, func(ctx context.Context) error { return b.isLost(ctx, n) })
			return err
		})
		if err == nil {
			b.Measure("the API calls "+name+" lost", lost, 0)
		}
		return "the switch's port of " + name + " was down", err
	}
}

// isLost wants the API to say that nothing is known of a node.
func (r *ring) isLost(ctx context.Context, n *Node) error {
	var list nodeList
	if err := r.lookElsewhere(ctx, n, &list); err != nil {
		return err
	}
	for _, item := range list.Items {
		for _, c := range item.Status.Conditions {
			if item.Metadata.Name == n.Name && c.Type == "Ready" && c.Status == "Unknown" {
				return nil
			}
		}
	}
	return fmt.Errorf("%s is not lost yet", n.Name)
}

// lookElsewhere lists the nodes by a master that is not the one that may be cut off.
func (r *ring) lookElsewhere(ctx context.Context, n *Node, out *nodeList) (err error) {
	for _, m := range r.mastersOf() {
		if m == n || m.leader == 0 {
			continue
		}
		if err = r.o.through(ctx, m.netns, fmt.Sprintf("https://127.0.0.1:%d", r.Plan.Endpoint.APIServerPort), "/api/v1/nodes", out); err == nil {
			return nil
		}
	}
	return err
}
