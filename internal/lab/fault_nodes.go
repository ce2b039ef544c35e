package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

const classNode = "kill a node"

// deadFor is how long a node at least has no power.
const deadFor = 15 * time.Second

// nodeRows cut each node's power and give it back.
func nodeRows(p *plan.Plan) (rows []Fault) {
	add := func(name string, at where, short bool) {
		rows = append(rows, Fault{Class: classNode, Name: "cut the power of " + name, Short: short, Serves: true, Do: killNode(at)})
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
	return rows
}

func killNode(at where) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		n, err := at(ctx, b)
		if err != nil {
			return "", err
		}
		b.Aside(n)
		b.Begun()
		if err := n.PowerOff(ctx); err != nil {
			return "", err
		}
		if err := b.Serves(ctx, 2*time.Minute); err != nil {
			return "", err
		}
		rest(ctx, deadFor-b.since())
		if err := n.PowerOn(ctx); err != nil {
			return "", err
		}
		b.Healed()
		return fmt.Sprintf("%s had no power for %.0f s", n.Name, b.since().Seconds()), nil
	}
}
