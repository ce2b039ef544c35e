package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

const classPower = "power everything off and on"

// apart is the time between two masters that get power back one after the other: the
// first wait for quorum, and the last comes when the others have one.
const apart = 20 * time.Second

// powerRows cut the power of all nodes and give it back to masters in every order.
func powerRows(p *plan.Plan) (rows []Fault) {
	var masters []string
	for _, m := range notReserved(p, plan.Master) {
		masters = append(masters, m.Name)
	}
	rows = append(rows, Fault{Class: classPower, Name: "power for all nodes at once", Do: powerCycleOf(nil)})
	if len(masters) < 2 {
		return rows
	}
	for _, order := range orders(masters) {
		rows = append(rows, Fault{Class: classPower, Name: fmt.Sprintf("power for %s, %s apart", strings.Join(order, ", then "), apart),
			Short: slices.IsSortedFunc(order, func(a, b string) int { return strings.Compare(b, a) }), Do: powerCycleOf(order)})
	}
	return rows
}

// orders are all orders of some names.
func orders(names []string) (all [][]string) {
	if len(names) < 2 {
		return [][]string{slices.Clone(names)}
	}
	for i, first := range names {
		for _, others := range orders(slices.Concat(names[:i], names[i+1:])) {
			all = append(all, append([]string{first}, others...))
		}
	}
	return all
}

// powerCycleOf cuts all power and gives it back to masters in an order, and to the other
// nodes with the first; to all at once when there is no order.
func powerCycleOf(order []string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		var first, later []*Node
		for _, n := range b.members() {
			if at := slices.Index(order, n.Name); at > 0 {
				later = append(later, n)
			} else {
				first = append(first, n)
			}
		}
		slices.SortFunc(later, func(a, b *Node) int { return slices.Index(order, a.Name) - slices.Index(order, b.Name) })
		b.Begun()
		if err := together(b.members(), func(n *Node) error { return n.PowerOff(ctx) }); err != nil {
			return "", err
		}
		_, err := PowerOn(ctx, first)
		for _, n := range later {
			if err == nil {
				rest(ctx, apart)
				err = n.PowerOn(ctx)
			}
		}
		b.Healed()
		return "the way back counts from the last master's power", err
	}
}
