package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/plan"
)

// Classes of rows in which a machine comes that should not.
const (
	classTwin   = "two machines with one slot"
	classNoSlot = "a host name that no slot has"
)

// slotRows boot machines that no plan has.
func slotRows(p *plan.Plan) (rows []Fault) {
	masters, workers := notReserved(p, plan.Master), notReserved(p, plan.Worker)
	if len(workers) > 0 {
		w := workers[0]
		rows = append(rows,
			Fault{Class: classNoSlot, Name: "boot a " + w.Role + "'s role payload under the name stranger", Short: true, Serves: true, Do: stranger(w.Role)},
			Fault{Class: classTwin + " (" + w.Role + ")", Name: "boot a second " + w.Name, Short: true, Serves: true, Do: twin(w)})
	}
	if len(masters) > 2 {
		rows = append(rows, Fault{Class: classTwin + " (" + plan.Master + ")", Name: "boot a second " + masters[2].Name, Short: true, Serves: true, Do: twin(masters[2])})
	}
	return rows
}

// another makes a machine that is none of the plan's. Its host name is what claims a slot.
func (b *bout) another(ctx context.Context, name, host, payload string) (*Node, error) {
	data, err := b.Payload(payload)
	if err != nil {
		return nil, err
	}
	// Two of one name on one cluster would be one folder.
	for i := 2; slices.ContainsFunc(b.nodes, func(n *Node) bool { return n.Name == name }); i++ {
		name = fmt.Sprintf("%s-%d", strings.TrimRight(name, "-0123456789"), i)
	}
	n, err := b.Lab.Make(ctx, NodeOptions{Name: name, HostName: host, Payload: data, Tree: b.tree, Extensions: b.extensions, Store: b.images,
		Network: b.wire, Address: b.free()})
	if err != nil {
		return nil, err
	}
	b.nodes = append(b.nodes, n)
	b.Spare(n)
	return n, nil
}

// free is an address of the lab's network that nobody has.
func (b *bout) free() netip.Prefix {
	taken := map[netip.Addr]bool{b.wire.gateway.Addr(): true, b.operatorAddress().Addr(): true}
	for _, n := range b.nodes {
		taken[n.made.Address.Addr()] = true
	}
	for _, n := range b.Plan.Nodes {
		taken[b.below(n.Name).Addr()], taken[addressOf(n.PublicIP)] = true, true
	}
	network := b.wire.gateway.Masked()
	a := network.Addr().Next()
	for taken[a] || a.As4()[3] < 60 { // below are those of machines to come
		a = a.Next()
	}
	return netip.PrefixFrom(a, network.Bits())
}

// stranger boots a role's payload under a name that no slot has.
func stranger(role string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		n, err := b.another(ctx, "stranger", "stranger", "roles/"+role+".ign")
		if err != nil {
			return "", err
		}
		b.Begun()
		if err := n.PowerOn(ctx); err != nil {
			return "", err
		}
		words, err := b.saysCode(ctx, n, bootcode.NoSlot)
		if err != nil {
			return "", err
		}
		if err := n.has("var/lib/imgforge/claimed")(ctx); err == nil {
			return "", errors.New("it claimed a slot")
		}
		return words, n.PowerOff(ctx)
	}
}

// saysCode waits until the console of a node says a code, and returns that.
func (b *bout) saysCode(ctx context.Context, n *Node, code int) (words string, err error) {
	took, err := b.Wait(ctx, fmt.Sprintf("%s says code %d", n.Name, code), soonBroken, func(context.Context) (err error) {
		words, err = n.endsIn(code)
		return err
	})
	if err == nil {
		b.Measure(fmt.Sprintf("%s says code %d", n.Name, code), took, 0)
	}
	return n.Name + " says " + words, err
}

// twinCodes are those that tell of another machine in a node's place.
func twinCodes() []int {
	return []int{bootcode.AddressTaken, bootcode.MeshTwin, bootcode.EtcdSlotTaken, bootcode.NodeTwin}
}

// saysTwin waits until a node says on its console, and keeps for its status page, that
// another machine is in its place.
func (b *bout) saysTwin(ctx context.Context, n *Node) (words string, err error) {
	took, err := b.Wait(ctx, n.Name+" says that it has a twin", soonBroken, func(ctx context.Context) error {
		status, err := n.Run(ctx, "sh", "-c", "cat /run/imgforge/steps/*.json")
		if err != nil {
			return err
		}
		for _, code := range twinCodes() {
			onConsole, consoleErr := n.endsIn(code)
			if consoleErr == nil && strings.Contains(status, fmt.Sprintf(`"code":%d,`, code)) {
				words, _, _ = strings.Cut(onConsole, ". Change: ")
				return nil
			}
			err = errors.Join(err, consoleErr)
		}
		return fmt.Errorf("%w; its status is %s", err, status)
	})
	if err == nil {
		b.Measure(n.Name+" says that it has a twin", took, 0)
	}
	return n.Name + " says " + words, err
}

// twin boots a second machine under a node's name, from the payload that node has, and
// wants both to say so. The second goes; whatever the codes ask for then is done.
func twin(made plan.Node) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		first, err := b.Named(made.Name)
		if err != nil {
			return "", err
		}
		second, err := b.another(ctx, "twin", made.Name, b.Topology.Payload(made))
		if err != nil {
			return "", err
		}
		b.Aside(first)
		b.Begun()
		if err := second.PowerOn(ctx); err != nil {
			return "", err
		}
		said := make([]string, 2)
		both := []*Node{first, second}
		err = together(both, func(n *Node) (err error) {
			said[slices.Index(both, n)], err = b.saysTwin(ctx, n)
			return err
		})
		if off := second.PowerOff(ctx); err != nil || off != nil {
			return strings.Join(said, "; "), errors.Join(err, off)
		}
		b.Healed()
		back, err := b.aloneAgain(ctx, first)
		return strings.Join(append(said, back), "; "), err
	}
}

// aloneAgain brings a node back whose twin is off: by itself, or, where its own code
// asks for that, with an empty disk.
func (b *bout) aloneAgain(ctx context.Context, n *Node) (string, error) {
	begun := time.Now()
	for ctx.Err() == nil && time.Since(begun) < time.Minute {
		if _, err := n.endsIn(bootcode.EtcdSlotTaken); err == nil {
			return "as code 514 asks, " + n.Name + " got an empty disk once its twin was off", n.replace(ctx, nil)
		}
		if b.whole(ctx) == nil {
			break
		}
		rest(ctx, time.Second)
	}
	return n.Name + " went on by itself once its twin was off", ctx.Err()
}
