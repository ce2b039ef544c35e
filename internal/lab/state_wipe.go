package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// wipe gives a machine that is off an empty disk, and on it the same payload.
func (n *Node) wipe(ctx context.Context) error {
	// What the lab itself gave it, as a provider's DHCP would.
	names, err := os.ReadFile(filepath.Join(n.root, labNames))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir, err := n.takeDisk(ctx, os.RemoveAll)
	if err != nil {
		return err
	}
	if err := n.furnish(ctx, dir, n.made); err != nil || names == nil {
		return err
	}
	return add(n.root, labNames, string(names))
}

// takeDisk takes the disk of a machine that is off: do is called with each of its
// folders, and leaves none. It returns where they were.
func (n *Node) takeDisk(ctx context.Context, do func(folder string) error) (dir string, err error) {
	dir = filepath.Dir(n.root)
	if _, err := n.lab.run(ctx, "umount", "--recursive", n.root); err != nil {
		return dir, err
	}
	n.lab.mu.Lock() // it is mounted anew, and is to be unmounted once
	n.lab.undo = slices.DeleteFunc(n.lab.undo, func(u undoing) bool { return u.what == "root of "+n.Name })
	n.lab.mu.Unlock()
	for _, folder := range []string{"upper", "work", "state"} {
		if err := do(filepath.Join(dir, folder)); err != nil {
			return dir, err
		}
	}
	return dir, nil
}

// loseFor takes the disk of a machine that is off and gives it an empty one; found puts
// the lost one back.
func (n *Node) loseFor(ctx context.Context) (found func(context.Context) error, err error) {
	const lost = ".lost"
	dir, err := n.takeDisk(ctx, func(folder string) error { return os.Rename(folder, folder+lost) })
	if err != nil {
		return nil, err
	}
	found = func(ctx context.Context) error {
		if err := n.PowerOff(ctx); err != nil {
			return err
		}
		_, err := n.takeDisk(ctx, func(folder string) error {
			if err := os.RemoveAll(folder); err != nil {
				return err
			}
			return os.Rename(folder+lost, folder)
		})
		if err != nil {
			return err
		}
		if err := n.mountRoot(ctx, dir, n.made); err != nil {
			return err
		}
		return n.PowerOn(ctx)
	}
	return found, n.furnish(ctx, dir, n.made)
}

// replace takes a machine's power and disk, and boots one of its name with an empty
// disk from a payload; nil is the payload that it had.
func (n *Node) replace(ctx context.Context, payload []byte) error {
	if err := n.PowerOff(ctx); err != nil {
		return err
	}
	if payload != nil {
		n.made.Payload = payload
	}
	if err := n.wipe(ctx); err != nil {
		return err
	}
	return n.PowerOn(ctx)
}

// Classes of rows in which disks are lost.
const (
	classWipe       = "wipe a master's disk"
	classWipeHolder = "wipe the disk of the VIP's holder"
	classWipeTwo    = "wipe two masters one after the other"
	classReplace    = "replace a machine"
)

// wipeRows take disks of machines that boot the same payload again.
func wipeRows(p *plan.Plan) (rows []Fault) {
	masters := notReserved(p, plan.Master)
	for i, n := range masters {
		rows = append(rows, Fault{Class: classWipe, Name: "wipe the disk of " + n.Name, Short: i == 1, Serves: true, Do: wipeMaster(called(n.Name))})
	}
	rows = append(rows, Fault{Class: classWipe, Name: "wipe the disk of the leader of etcd", Serves: true, Do: wipeMaster(leading)})
	if p.Endpoint.Mode == "vip" {
		rows = append(rows, Fault{Class: classWipeHolder, Name: "wipe the disk of the holder of the " + floatingAddress, Short: true, Serves: true, Do: wipeMaster(holding(floatingAddress))})
	}
	if len(masters) > 2 {
		rows = append(rows, Fault{Class: classWipeTwo, Name: fmt.Sprintf("wipe the disks of %s and %s one after the other", masters[1].Name, masters[2].Name),
			Short: true, Serves: true, Do: wipeTwo(masters[1].Name, masters[2].Name)})
	}
	for _, role := range []string{plan.Worker, plan.Proxy} {
		for i, n := range notReserved(p, role) {
			rows = append(rows, Fault{Class: classReplace + " (" + role + ")", Name: "replace " + n.Name, Short: i == 0, Serves: true, Do: replaceNode(n.Name)})
		}
	}
	return rows
}

// boundVoter is how long a master with an empty disk may take to vote again.
const boundVoter = 4 * time.Minute

// wipeMaster takes a master's power and disk, and waits until it votes again.
func wipeMaster(at where) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		n, err := at(ctx, b)
		if err != nil {
			return "", err
		}
		b.Aside(n)
		b.Begun()
		words, err := b.loseDisk(ctx, n)
		b.Healed()
		return words, err
	}
}

func wipeTwo(names ...string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		b.Begun()
		var all []string
		for _, name := range names {
			n, err := b.Named(name)
			if err != nil {
				return "", err
			}
			b.Aside(n)
			words, err := b.loseDisk(ctx, n)
			if err != nil {
				return "", err
			}
			all = append(all, words)
			// Who has just lost a disk is no reason for the next to: whoever replaces
			// machines waits until the one before serves.
			if err := b.becomesWhole(ctx, boundWhole); err != nil {
				return "", err
			}
		}
		b.Healed()
		return strings.Join(all, "; "), nil
	}
}

// loseDisk wipes a master, and waits until it is a voter of etcd under another id. Its
// own words tell by which steps.
func (b *bout) loseDisk(ctx context.Context, n *Node) (string, error) {
	before, err := b.memberOf(ctx, n)
	if err != nil {
		return "", err
	}
	if err := n.replace(ctx, nil); err != nil {
		return "", err
	}
	if err := b.votesAgain(ctx, n, before, boundVoter); err != nil {
		return "", err
	}
	b.Measure(n.Name+" a voter again, from its power-on", time.Since(n.PoweredOn), aimVoter)
	for _, words := range []string{"remove its old member", "add a learner", "start as a learner", "is a voter of cluster"} {
		if _, err := b.Wait(ctx, n.Name+" says "+words, soon, n.says(words)); err != nil {
			return "", err
		}
	}
	after, err := b.memberOf(ctx, n)
	return fmt.Sprintf("%s was member %x, removed it, joined as a learner and votes as %x; no command was given", n.Name, before, after), err
}

// votesAgain waits until a master votes in etcd under another id than before.
func (b *bout) votesAgain(ctx context.Context, n *Node, before uint64, bound time.Duration) error {
	_, err := b.Wait(ctx, n.Name+" votes again", bound, func(ctx context.Context) error {
		if err := n.answers("http://127.0.0.1:2381/readyz")(ctx); err != nil {
			return err
		}
		after, err := b.memberOf(ctx, n)
		if err == nil && after == before {
			err = fmt.Errorf("%s is still the member %x", n.Name, before)
		}
		return err
	})
	return err
}

// memberOf is the id under which a master votes, as one of the others has it.
func (r *ring) memberOf(ctx context.Context, n *Node) (uint64, error) {
	err := errors.New("no other master has power")
	for _, other := range r.mastersOf() {
		if other == n || other.leader == 0 {
			continue
		}
		var a etcdAnswer
		if a, err = other.etcd(ctx, "member", "list"); err != nil {
			continue
		}
		for _, m := range a.Members {
			if m.Name == n.Name && !m.Learner {
				return m.ID, nil
			}
		}
		return 0, fmt.Errorf("%s does not vote: members are %v", n.Name, a.Members)
	}
	return 0, err
}

// replaceNode puts another machine of the same name into a node's place.
func replaceNode(name string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		n, err := b.Named(name)
		if err != nil {
			return "", err
		}
		b.Aside(n)
		b.Begun()
		if err := n.replace(ctx, nil); err != nil {
			return "", err
		}
		b.Healed()
		if err := b.readyAgain(ctx, n); err != nil {
			return "", err
		}
		b.Measure(n.Name+" Ready again, from its power-on", time.Since(n.PoweredOn), 0)
		return fmt.Sprintf("an empty disk and the same payload under the name %s; no command was given", name), nil
	}
}

// readyAgain waits until a node's own kubelet has said since its power-on that it is Ready.
func (b *bout) readyAgain(ctx context.Context, n *Node) error {
	_, err := b.Wait(ctx, n.Name+" is Ready", boundVoter, func(ctx context.Context) error {
		seen, ready := map[string]bool{n.Name: true}, map[string]bool{n.Name: true}
		return b.lookAtNodes(ctx, b.o, []*Node{n}, seen, ready)
	})
	return err
}

// says is a check that the helper of a node has said something since its power-on.
func (n *Node) says(words string) func(context.Context) error {
	return func(ctx context.Context) error {
		journal, err := n.Run(ctx, "journalctl", "--no-pager", "--boot", "--output=cat", "--unit=imgforge-node.service")
		if err == nil && !strings.Contains(journal, words) {
			err = fmt.Errorf("it says:\n%s", journal)
		}
		return err
	}
}
