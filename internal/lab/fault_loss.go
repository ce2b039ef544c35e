package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

const classLoss = "lose 20 % of packets"

const (
	loss    = 20 // percent of the frames of each direction
	lossFor = 40 * time.Second
)

// lossRows lose packets of each node's link, and of all.
func lossRows(p *plan.Plan) (rows []Fault) {
	rows = append(rows, Fault{Class: classLoss, Name: "lose 20 % on every link", Short: true, Do: lose("")})
	for _, n := range notReserved(p, "") {
		rows = append(rows, Fault{Class: classLoss, Name: "lose 20 % on the link of " + n.Name, Serves: true, Do: lose(n.Name)})
	}
	return rows
}

// lose loses packets to and from a node, or between all of them ("").
func lose(name string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		lines := []string{fmt.Sprintf("numgen random mod 100 < %d drop", loss)}
		if name != "" {
			n, err := b.Named(name)
			if err != nil {
				return "", err
			}
			b.Aside(n)
			lines = lossy(loss, n)
		}
		err := b.dropping(ctx, lossFor, b.serving, lines...)
		return fmt.Sprintf("for %s, of frames in each direction", lossFor), err
	}
}
