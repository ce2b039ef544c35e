// Package reboot lets nodes reboot one at a time, drained, inside their own windows.
// A node says on its own Node object that it has to reboot; the masters hold the one
// lease, cordon, drain and let it go; only then does the node, or the agent of its
// system, reboot. After that the masters see it Ready and take the cordon away.
package reboot

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/api"
	"github.com/imgforge/imgforge/internal/node/step"
)

// Options are what a run takes from outside; zero values are those of a node.
type Options struct {
	Root   string // "/" when empty
	Report step.Reporter
	Now    func() time.Time
	Pace   time.Duration // between two looks while it is somebody's turn; 5 s
	Rest   time.Duration // between two looks otherwise; 15 s
	// Spare tells why etcd cannot spare a master now, and "" when it can.
	Spare func(ctx context.Context, name string) (why string, err error)
	// Reboot reboots this machine.
	Reboot func(ctx context.Context) error
}

// word is what one look has to say, the first that is not empty.
type word struct {
	failure *bootcode.Failure
	waiting string
}

// Run takes part in the cluster's reboots until ctx ends.
func Run(ctx context.Context, o Options) error {
	o.Root, o.Pace, o.Rest = cmp.Or(o.Root, "/"), cmp.Or(o.Pace, 5*time.Second), cmp.Or(o.Rest, 15*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Reboot == nil {
		o.Reboot = systemctl
	}
	me, cluster, err := identity(o.Root)
	if err != nil {
		return bootcode.Fail(bootcode.RebootUnable, "%v", err)
	}
	own, err := newOwn(o, me.Node)
	if err != nil {
		return bootcode.Fail(bootcode.RebootUnable, "%v", err)
	}
	if err := own.listen(ctx); err != nil {
		return bootcode.Fail(bootcode.RebootUnable, "%v", err)
	}
	var masters *arbiter
	if me.Role == "master" {
		if masters, err = newArbiter(o, cluster); err != nil {
			return bootcode.Fail(bootcode.RebootUnable, "%v", err)
		}
	}
	for {
		pause := looks(ctx, o, own, masters)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// looks looks after this node, and on a master after the cluster too.
func looks(ctx context.Context, o Options, own *own, masters *arbiter) time.Duration {
	said, busy := own.look(ctx)
	if masters != nil {
		others, theirs := masters.look(ctx)
		busy = busy || theirs
		if said.failure == nil {
			said.failure = others.failure
		}
		said.waiting = cmp.Or(said.waiting, others.waiting)
	}
	switch {
	case ctx.Err() != nil: // what failed now, failed because of it
	case said.failure != nil:
		o.Report.Failed(said.failure)
	case said.waiting != "":
		o.Report.Waiting(step.Reboot, said.waiting)
	default:
		o.Report.Done(step.Reboot, "none is due")
	}
	if busy {
		return o.Pace
	}
	return o.Rest
}

func identity(root string) (me artifact.NodeFile, c artifact.ClusterFile, err error) {
	if me, err = artifact.ReadNodeFile(root); err != nil {
		return me, c, fmt.Errorf("read who this node is: %w", err)
	}
	if c, err = artifact.ReadClusterFile(root); err != nil {
		return me, c, fmt.Errorf("read what the cluster is: %w", err)
	}
	return me, c, nil
}

func newArbiter(o Options, c artifact.ClusterFile) (*arbiter, error) {
	zone, err := time.LoadLocation(c.Timezone)
	if err != nil {
		return nil, fmt.Errorf("the windows' time zone: %w", err)
	}
	if o.Spare == nil {
		return nil, fmt.Errorf("etcd cannot be asked")
	}
	client, err := api.New(o.Root)
	if err != nil {
		return nil, err
	}
	return &arbiter{o: o, client: client, plan: c.Nodes, zone: zone}, nil
}

// systemctl asks the system to reboot; it returns before that happens.
func systemctl(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "systemctl", "reboot").CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemctl reboot: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// RequestPath is where an operator's request lies until the machine reboots.
const RequestPath = "/run/imgforge/reboot"

// Request asks for a reboot of the node at root: in its window, or now.
func Request(root string, now bool) error {
	text := "window\n"
	if now {
		text = reasonNow + "\n"
	}
	path := filepath.Join(root, RequestPath)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
