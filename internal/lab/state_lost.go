package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/plan"
)

const classLost = "two masters lose their disks at once"

// lostRows take more disks than a quorum can spare.
func lostRows(p *plan.Plan) []Fault {
	masters := notReserved(p, plan.Master)
	if len(masters) != 3 {
		return nil
	}
	return []Fault{{Class: classLost, Name: fmt.Sprintf("%s and %s lose their disks at once; one disk is found again", masters[1].Name, masters[2].Name),
		Short: true, Fresh: true, Do: lostAndFound(masters[0].Name, masters[1].Name, masters[2].Name)}}
}

// lostAndFound takes two of three disks at once: the cluster stops, says so, founds
// nothing and loses nothing on the third; with one of the disks back it goes on.
func lostAndFound(left, first, second string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		third, err := b.Named(left)
		if err != nil {
			return "", err
		}
		found, words, err := b.loseTwo(ctx, third, first, second)
		if err != nil {
			return words, err
		}
		b.Healed()
		if err := found(ctx); err != nil {
			return words, err
		}
		return fmt.Sprintf("%s; with the disk of %s back, %s joined anew by itself and nothing was lost", words, first, second), b.becomesWhole(ctx, boundWhole)
	}
}

// loseTwo takes the disks of two masters at once, and judges what all three do then.
// It returns how to put the first of the disks back.
func (b *bout) loseTwo(ctx context.Context, left *Node, names ...string) (found func(context.Context) error, words string, err error) {
	var lost []*Node
	for _, name := range names {
		n, err := b.Named(name)
		if err != nil {
			return nil, "", err
		}
		lost = append(lost, n)
	}
	b.Aside(lost...)
	b.Begun()
	if err := together(lost, func(n *Node) error { return n.PowerOff(ctx) }); err != nil {
		return nil, "", err
	}
	for i, n := range lost {
		back, err := n.loseFor(ctx)
		if err != nil {
			return nil, "", err
		}
		if i == 0 {
			found = back
		}
	}
	if _, err := PowerOn(ctx, lost); err != nil {
		return nil, "", err
	}
	for _, n := range lost {
		if words, err = b.saysCode(ctx, n, bootcode.EtcdQuorumGone); err != nil {
			return nil, words, err
		}
	}
	// Long enough for whoever would found after all.
	rest(ctx, 20*time.Second)
	for _, n := range lost {
		if _, err := os.Stat(filepath.Join(n.state, "etcd", "member")); err == nil {
			return nil, words, fmt.Errorf("%s has data of etcd: it founded, or joined without a quorum", n.Name)
		}
	}
	kept, err := b.keptBy(ctx, left)
	return found, words + "; " + kept, err
}

// keptBy wants a master's own etcd, which has no quorum, to have every acknowledged write.
func (b *bout) keptBy(ctx context.Context, n *Node) (string, error) {
	due, known := b.ledger.all()
	there, err := b.etcdKeys(ctx, n, "s", due)
	if err != nil {
		return "", fmt.Errorf("read what %s has: %w", n.Name, err)
	}
	lost, foreign := b.ledger.judge("etcd of "+n.Name, due, known, there)
	if len(lost)+len(foreign) > 0 {
		return "", errors.Join(fmt.Errorf("LOST on the disk of %s: %.300v", n.Name, lost), fmt.Errorf("nobody sent %.300v", foreign))
	}
	return fmt.Sprintf("the disk of %s has all %d acknowledged writes", n.Name, len(due)), nil
}
