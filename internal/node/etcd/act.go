package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// act does what was decided. Each action is complete in itself or done again: what
// is written down comes before what rests on it.
func (n *node) act(ctx context.Context, d Decision) error {
	if err := n.fault("before " + d.Action.String()); err != nil {
		return err
	}
	if err := n.perform(ctx, d); err != nil {
		if errors.Is(err, errBehind) || errors.Is(err, errKilled) {
			return err
		}
		return fmt.Errorf("%s: %w", d.Action, err)
	}
	if d.Action != Promote {
		n.news("etcd of %s: %s%s", n.self.Name, d.Action, detail(d))
	}
	return n.fault("after " + d.Action.String())
}

func (n *node) perform(ctx context.Context, d Decision) error {
	switch d.Action {
	case Agree:
		return n.remember(Agreed, 0)
	case Found:
		if n.line.restored != "" {
			return n.restoreData(d.Cluster) // etcd starts from data, as after any reboot
		}
		return n.begin(d.Cluster, stateNew)
	case Fetch:
		return n.fetch(ctx)
	case GiveUp:
		return errors.Join(n.remember(GivenUp, 0), n.displace())
	case StartAsLearner:
		return n.begin(d.Cluster, stateExisting)
	case Start:
		// With data etcd does not read these values. Without, this cluster of one that
		// exists already is one that etcd cannot join: should the data vanish while it
		// runs, it cannot come back under its old name.
		return n.place(d.Cluster, stateExisting)
	case RemoveStale:
		// Whatever was promised under that name ends with it.
		if err := n.remember(Member, 0); err != nil {
			return err
		}
		return n.quorum(func(base string) error { return n.etcd.remove(ctx, base, d.Member) })
	case SetAside:
		if inUse(n.path(dataPath)) {
			return errors.New("etcd has its data open still")
		}
		return setAside(n.path(dataPath))
	case AddLearner:
		return n.join(ctx)
	case Promote:
		return n.quorum(func(base string) error { return n.etcd.promote(ctx, base, d.Member) })
	case Stop:
		return errors.Join(n.displace(), n.remember(Member, 0))
	}
	return fmt.Errorf("nothing to do for action %d", d.Action)
}

// begin lets etcd run for the first time. What a first start that was cut short
// left behind is moved away while no etcd runs.
func (n *node) begin(cluster, state string) error {
	_, err := os.Lstat(n.path(manifestPath))
	if err != nil {
		if err := setAside(n.path(dataPath)); err != nil {
			return err
		}
	}
	return n.place(cluster, state)
}

// join adds this node's learner and notes which one it is. Killed in between, the
// next run finds a member it knows nothing of, removes it and adds another.
func (n *node) join(ctx context.Context) error {
	if err := n.remember(Member, 0); err != nil {
		return err // an earlier promise must not outlive the new member
	}
	var added ID
	err := n.quorum(func(base string) (err error) {
		added, err = n.etcd.addLearner(ctx, base, n.self.URL)
		return err
	})
	if err != nil {
		return err
	}
	if err := n.fault("added"); err != nil {
		return err
	}
	return n.remember(Joining, added)
}

// quorum tries a change of membership at each member until one takes it. A member
// that says no has said it for all, unless it is one that cannot speak for them.
func (n *node) quorum(change func(base string) error) error {
	err := errors.New("no member to ask")
	for _, base := range n.voters {
		if err = change(base); err == nil || errors.Is(err, errBehind) {
			return err
		}
	}
	return err
}

// detail is what an action is about.
func detail(d Decision) string {
	switch {
	case d.Action == RemoveStale && d.Why != "":
		return " " + d.Member.String() + ": " + d.Why
	case d.Action == RemoveStale:
		return " " + d.Member.String()
	case d.Why != "":
		return ": " + d.Why
	case d.Cluster != "":
		return " with " + d.Cluster
	}
	return ""
}

// String is what the action does, for logs.
func (a Action) String() string {
	switch a {
	case Wait:
		return "wait"
	case Refuse:
		return "refuse"
	case Settled:
		return "settled"
	case Start:
		return "start"
	case Agree:
		return "agree to found"
	case Found:
		return "found"
	case RemoveStale:
		return "remove its old member"
	case SetAside:
		return "set the old data aside"
	case AddLearner:
		return "add a learner"
	case StartAsLearner:
		return "start as a learner"
	case Promote:
		return "promote"
	case Stop:
		return "stop"
	case Fetch:
		return "fetch the snapshot"
	case GiveUp:
		return "give up the old data"
	}
	return "unknown action"
}
