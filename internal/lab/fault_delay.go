package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

const classDelay = "add 200 ms"

const (
	// delay is added to each direction of a link: 200 ms to a question and its answer
	// when one end's link has it, 400 ms when both have.
	delay    = 100 * time.Millisecond
	delayFor = 40 * time.Second
)

// delayRows delay what each node sends and is sent, and all of them at once.
func delayRows(p *plan.Plan) (rows []Fault) {
	for _, n := range notReserved(p, "") {
		rows = append(rows, Fault{Class: classDelay, Name: "add 200 ms to the way to " + n.Name + " and back", Short: n.Name == "master-1", Serves: true, Do: slow(n.Name)})
	}
	return append(rows, Fault{Class: classDelay, Name: "add 400 ms to the way between any two nodes and back", Do: slow("")})
}

// slow delays the link of a node, or of all ("").
func slow(name string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		nodes := b.members()
		if name != "" {
			n, err := b.Named(name)
			if err != nil {
				return "", err
			}
			b.Aside(n)
			nodes = []*Node{n}
		}
		b.ledger.goesFar(true)
		defer b.ledger.goesFar(false)
		var relays []*relay
		heal := func(ctx context.Context) (err error) {
			for _, r := range relays {
				err = errors.Join(err, r.remove(ctx))
			}
			return err
		}
		passed := int64(0)
		err := b.during(ctx, delayFor, func(ctx context.Context) error {
			for _, n := range nodes {
				r, err := b.wire.delayed(ctx, n.port, delay)
				if err != nil {
					return err
				}
				relays = append(relays, r)
			}
			return nil
		}, heal, b.serving)
		for _, r := range relays {
			passed += r.passed.Load()
		}
		if err == nil && passed == 0 {
			err = errors.New("the relay passed no frame on")
		}
		return fmt.Sprintf("for %s, by a relay that passed on %d frames", delayFor, passed), err
	}
}
