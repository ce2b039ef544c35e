package lab

import (
	"context"
	"fmt"
	"time"
)

// holder is the node that has an address, and the only one.
func holder(ctx context.Context, nodes []*Node, address string) (*Node, error) {
	var found []*Node
	for _, n := range nodes {
		out, err := n.Run(ctx, "ip", "-4", "-oneline", "address", "show", "to", address)
		if err != nil {
			return nil, err
		}
		if out != "" {
			found = append(found, n)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%s have %s", counted(len(found), "node"), address)
	}
	return found[0], nil
}

// checkMove cuts the power of the master that holds the floating address, and
// gives it back. Everything that was there before must be there again.
func (t *Trial) checkMove(ctx context.Context, o *operator) error {
	address := t.Plan.Endpoint.Address
	var held *Node
	t.Check(ctx, "one master holds the floating address", soon, func(ctx context.Context) (evidence string, err error) {
		if held, err = holder(ctx, t.masters(), address); err != nil {
			return "", err
		}
		return held.Name + " has " + address, nil
	})
	if held == nil {
		return nil // it was reported
	}
	t.Phase("after the power of " + held.Name + ", which held the floating address, was cut")
	if err := held.PowerOff(ctx); err != nil {
		return err
	}
	cut := time.Now()
	t.Check(ctx, "the floating address moves when its holder is killed", soon, func(ctx context.Context) (string, error) {
		next, err := holder(ctx, t.runningMasters(), address)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s has it %.1f s after the cut", next.Name, time.Since(cut).Seconds()), nil
	})
	t.Check(ctx, "the API answers again at the floating address", soon, func(ctx context.Context) (string, error) {
		from := t.nodes[len(t.nodes)-1]
		if err := o.through(ctx, from.netns, t.Plan.Endpoint.URL, "/readyz", nil); err != nil {
			return "", err
		}
		answered := time.Since(cut).Seconds()
		_, err := o.kubectlIn(ctx, from.netns, "", "--server="+t.Plan.Endpoint.URL, "annotate", "--overwrite", "node", from.Name, "lab=written-"+held.Name)
		return fmt.Sprintf("to %s %.1f s after the cut, and it took a write", from.Name, answered), err
	})
	t.Phase(held.Name + " got its power back")
	if err := held.PowerOn(ctx); err != nil {
		return err
	}
	return t.boots(ctx, o, []*Node{held}, held.PoweredOn)
}

// runningMasters are those that have power.
func (t *Trial) runningMasters() (running []*Node) {
	for _, n := range t.masters() {
		if n.leader != 0 {
			running = append(running, n)
		}
	}
	return running
}
