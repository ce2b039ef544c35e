package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

const classPartition = "partition the masters"

// partFor is how long nodes are parted: longer than etcd and keepalived wait.
const partFor = 30 * time.Second

// partitionRows part masters: one from the others, with some of the other nodes on its
// side and with none, and all from all.
func partitionRows(p *plan.Plan) (rows []Fault) {
	masters := notReserved(p, plan.Master)
	if len(masters) < 3 {
		return nil
	}
	for i, m := range masters {
		rows = append(rows,
			Fault{Class: classPartition, Name: "part " + m.Name + " and some other nodes from the rest", Short: i == 0, Serves: true, Do: partSide(m.Name)},
			Fault{Class: classPartition, Name: "part " + m.Name + " from the other masters alone", Serves: true, Do: partMasters(m.Name)})
	}
	return append(rows,
		Fault{Class: classPartition, Name: "part all masters from each other", Do: partMasters("")},
		Fault{Class: classPartition, Name: "part all nodes from each other", Short: true, Do: partAll})
}

// partSide parts a master, and every second of the nodes that are none, from the rest.
func partSide(name string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		alone, err := b.Named(name)
		if err != nil {
			return "", err
		}
		side, rest := []*Node{alone}, []*Node{}
		for i, n := range b.members() {
			switch {
			case n == alone:
			case i%2 == 1 && !slices.Contains(b.mastersOf(), n):
				side = append(side, n)
			default:
				rest = append(rest, n)
			}
		}
		b.Aside(side...)
		err = b.dropping(ctx, partFor, func(ctx context.Context) error {
			return errors.Join(b.serving(ctx), b.alone(ctx, alone))
		}, parted(side, rest)...)
		return fmt.Sprintf("%s saw nobody else; etcd of %s confirmed nothing", namesOf(side), name), err
	}
}

// alone wants a master's etcd to confirm nothing, which it cannot without the others.
func (r *ring) alone(ctx context.Context, n *Node) error {
	if _, err := n.etcd(ctx, "get", "/registry/", "--prefix", "--limit=1", "--consistency=l", "--command-timeout=4s"); err == nil {
		return fmt.Errorf("etcd of %s, which sees no other master, confirms a read", n.Name)
	}
	return nil
}

// partMasters parts one master, or all of them (""), from the other masters. Other nodes
// see all: a mesh that passes frames on may pass theirs on too.
func partMasters(name string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		var groups [][]*Node
		var others []*Node
		for _, m := range b.mastersOf() {
			if name == "" || m.Name == name {
				groups = append(groups, []*Node{m})
			} else {
				others = append(others, m)
			}
		}
		look := b.serving
		if name == "" {
			look = nil
		}
		how := ""
		err := b.dropping(ctx, partFor, func(ctx context.Context) error {
			if look != nil {
				if err := look(ctx); err != nil {
					return err
				}
			}
			how = b.whoConfirms(ctx)
			return nil
		}, parted(append(groups, others)...)...)
		return "meanwhile " + how, err
	}
}

// whoConfirms says in words which masters' etcd confirm a read.
func (r *ring) whoConfirms(ctx context.Context) string {
	masters := r.mastersOf()
	confirms := make([]bool, len(masters))
	together(masters, func(n *Node) error {
		confirms[slices.Index(masters, n)] = r.alone(ctx, n) != nil
		return nil
	})
	var yes, no []*Node
	for i, n := range masters {
		if confirms[i] {
			yes = append(yes, n)
		} else {
			no = append(no, n)
		}
	}
	switch {
	case len(no) == 0:
		return "etcd of all masters confirmed reads: the mesh passed their frames on by other nodes"
	case len(yes) == 0:
		return "etcd of no master confirmed a read"
	}
	return fmt.Sprintf("etcd of %s confirmed reads, that of %s did not", namesOf(yes), namesOf(no))
}

// partAll parts every node from every other.
func partAll(ctx context.Context, b *bout) (string, error) {
	return "nobody saw anybody; etcd of no master confirmed a read", b.dropping(ctx, partFor, func(ctx context.Context) error {
		return together(b.mastersOf(), func(n *Node) error { return b.alone(ctx, n) })
	}, fmt.Sprintf("iifname { %s } oifname { %s } drop", ports(b.members()), ports(b.members())))
}

func namesOf(nodes []*Node) string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return strings.Join(names, ", ")
}
