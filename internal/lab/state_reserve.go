package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/imgforge/imgforge/internal/forge"
	"github.com/imgforge/imgforge/internal/plan"
)

const classReserve = "add a reserved machine"

// reserveRows add machines that the plan has prepared, and give them up again.
func reserveRows(p *plan.Plan) (rows []Fault) {
	for _, role := range []struct {
		name string
		more int // etcd wants an odd number of voters
	}{{plan.Worker, 1}, {plan.Master, 2}} {
		var names []string
		for _, n := range p.NodesOf(role.name) {
			if n.Reserved && len(names) < role.more {
				names = append(names, n.Name)
			}
		}
		if len(names) < role.more {
			continue
		}
		rows = append(rows, Fault{Class: classReserve + " (" + role.name + ")", Name: fmt.Sprintf("add the reserved %v", names),
			Short: true, Serves: true, Do: grow(role.name, names)})
	}
	return rows
}

// grow raises the count of a role, builds again, and boots the new nodes one by one;
// when all serve, they are given up.
func grow(role string, names []string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		out, err := b.buildMore(ctx, role, len(names))
		if err != nil {
			return "", err
		}
		same, err := b.samePayloads(out)
		if err != nil {
			return "", err
		}
		b.Begun()
		var added []*Node
		for _, name := range names {
			n, err := b.addNode(ctx, out, role, name)
			if err != nil {
				return "", err
			}
			added = append(added, n)
		}
		if err := b.becomesWhole(ctx, boundWhole); err != nil {
			return "", err
		}
		words, err := b.sameEtcd(ctx)
		if err != nil {
			return "", err
		}
		evidence := fmt.Sprintf("after count was raised by %d, %s are the same to the byte; %v from roles/%s.ign; etcd has %s", len(names), same, names, role, words)
		b.Healed()
		for _, n := range added {
			if err := b.giveUp(ctx, n); err != nil {
				return evidence, fmt.Errorf("give %s up again: %w", n.Name, err)
			}
		}
		return evidence + "; then given up again", nil
	}
}

// buildMore builds the cluster's file with the count of a role raised, from the same store.
func (b *bout) buildMore(ctx context.Context, role string, more int) (out string, err error) {
	text, err := os.ReadFile(b.Source.File)
	if err != nil {
		return "", err
	}
	if text, err = raiseCount(text, role, more); err != nil {
		return "", fmt.Errorf("%s: %w", b.Source.File, err)
	}
	src := b.Source
	src.File = filepath.Join(b.work, "cluster", "more-"+role+".yaml")
	if err := os.WriteFile(src.File, text, 0o600); err != nil {
		return "", err
	}
	out = filepath.Join(b.work, "cluster", "out-more-"+role)
	_, err = b.App.Build(ctx, forge.BuildOptions{Source: src, Out: out})
	return out, err
}

// raiseCount is a cluster file with the count of a role raised, as a person would edit it.
func raiseCount(text []byte, role string, more int) ([]byte, error) {
	count := regexp.MustCompile(`(\n  ` + role + `:[ {\n]*count: )(\d+)`)
	found := count.FindSubmatch(text)
	if found == nil {
		return nil, fmt.Errorf("there is no count of the role %s", role)
	}
	old, err := strconv.Atoi(string(found[2]))
	return count.ReplaceAll(text, fmt.Appendf(nil, "${1}%d", old+more)), err
}

// samePayloads compares all that machines boot from in the first build with another.
func (b *bout) samePayloads(out string) (string, error) {
	var compared int
	for _, kind := range []string{"roles", "nodes", "drives"} {
		files, err := filepath.Glob(filepath.Join(b.Out, "secret", kind, "*"))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			before, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			after, err := os.ReadFile(filepath.Join(out, "secret", kind, filepath.Base(file)))
			if err != nil {
				return "", err
			}
			if !bytes.Equal(before, after) {
				return "", fmt.Errorf("%s/%s changed with the count", kind, filepath.Base(file))
			}
			compared++
		}
	}
	if compared == 0 {
		return "", errors.New("there are no payloads to compare")
	}
	return fmt.Sprintf("all %d payloads", compared), nil
}

// addNode boots a node from its role's payload, and waits until it is Ready.
func (b *bout) addNode(ctx context.Context, out, role, name string) (*Node, error) {
	payload, err := os.ReadFile(filepath.Join(out, "secret", "roles", role+".ign"))
	if err != nil {
		return nil, err
	}
	n, err := b.MakeFrom(ctx, name, payload)
	if err != nil {
		return nil, err
	}
	if err := n.PowerOn(ctx); err != nil {
		return nil, err
	}
	if role == plan.Master {
		if err := b.votesAgain(ctx, n, 0, boundVoter); err != nil {
			return nil, err
		}
		b.Measure(name+" a voter, from its power-on", time.Since(n.PoweredOn), aimVoter)
	}
	if err := b.readyAgain(ctx, n); err != nil {
		return nil, err
	}
	b.Measure(name+" Ready, from its power-on", time.Since(n.PoweredOn), 0)
	return n, nil
}

// giveUp takes a node out of the cluster: the machine first, for a master whose member
// was removed while it runs would join anew; then the member, then the object.
func (b *bout) giveUp(ctx context.Context, n *Node) error {
	b.Aside(n)
	made, _ := b.Plan.Node(n.Name)
	member := uint64(0)
	if made.Role == plan.Master {
		var err error
		if member, err = b.memberOf(ctx, n); err != nil {
			return err
		}
	}
	b.Spare(n)
	if err := n.PowerOff(ctx); err != nil {
		return err
	}
	if made.Role == plan.Master {
		if _, err := b.mastersOf()[0].Run(ctx, etcdctl("member", "remove", fmt.Sprintf("%x", member))...); err != nil {
			return err
		}
	}
	// Through whoever serves the endpoint: it may be about to find out what is gone.
	_, err := b.Wait(ctx, n.Name+" is deleted", soon, func(ctx context.Context) error {
		_, err := b.o.kubectlIn(ctx, b.standpoint(), "", "--server="+b.Plan.Endpoint.URL, "delete", "node", n.Name, "--ignore-not-found")
		return err
	})
	return err
}
