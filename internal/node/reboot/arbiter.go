package reboot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/api"
)

// arbiter is a master that decides about all nodes. Each master is one; what one
// writes, the others go on from.
type arbiter struct {
	o      Options
	client *api.Client
	plan   []artifact.ClusterNode
	zone   *time.Location
	tries  int
}

// sight is what one look found.
type sight struct {
	facts    Facts
	lease    lease
	missing  bool // there is no lease yet
	machines map[string]machine
	pods     []pod
}

// look takes the next step of whoever's turn it is.
func (a *arbiter) look(ctx context.Context) (said word, busy bool) {
	s, err := a.see(ctx)
	var d Decision
	if err == nil {
		d = Decide(s.facts)
		err = a.do(ctx, s, d)
	}
	// Somebody was quicker: the next look sees what was done.
	if api.Changed(err) {
		return word{waiting: "for its turn among the masters"}, true
	}
	if err != nil {
		a.tries++
		if a.tries >= patience && api.Refused(err) != nil {
			return word{failure: bootcode.Fail(bootcode.RebootFailed, "%v", err)}, false
		}
		return word{waiting: "for the API, to read whose turn it is"}, false
	}
	a.tries = 0
	return tell(s.facts, d)
}

// tell puts a look into words: the worst first.
func tell(f Facts, d Decision) (word, bool) {
	busy := d.Do != Wait || f.Lock.Holder != ""
	fail := func(code int, why string) (word, bool) { return word{failure: bootcode.Fail(code, "%s", why)}, busy }
	var lost, unwindowed, gaveUp []string
	code := 0
	for _, n := range f.Nodes {
		switch {
		case n.RestsFor.Code == bootcode.RebootLost && n.Ours && !n.Ready:
			lost = append(lost, n.RestsFor.Why)
		case n.Due != "" && f.Time.Before(n.RestsUntil) && n.RestsFor.Code != 0:
			code, gaveUp = n.RestsFor.Code, append(gaveUp, n.RestsFor.Why)
		case n.Due != "" && !n.Windowed && !n.Now:
			unwindowed = append(unwindowed, n.Name+": "+n.Due)
		}
	}
	switch {
	case lost != nil:
		return fail(bootcode.RebootLost, strings.Join(lost, "\n"))
	case d.Do == Wait && f.Lock.Holder == "" && d.Why != "":
		return fail(bootcode.RebootUnsafe, d.Node+": "+d.Why)
	case gaveUp != nil:
		return fail(code, gaveUp[len(gaveUp)-1])
	case f.Lock.Holder != "":
		return word{waiting: f.Lock.Holder + " has its turn to reboot: " + string(f.Lock.Phase)}, busy
	case unwindowed != nil:
		return fail(bootcode.RebootNoWindow, strings.Join(unwindowed, "\n"))
	}
	return word{}, busy
}

// see reads nodes before the lease: a node that looks like it is somebody's turn,
// while the lease says otherwise, was left behind.
func (a *arbiter) see(ctx context.Context) (s sight, err error) {
	now := a.o.Now()
	s.facts.Time, s.machines = now, map[string]machine{}
	_, err = a.client.List(ctx, api.Ref{APIVersion: "v1", Kind: "Node"}, api.Selection{}, func(object json.RawMessage) error {
		var m machine
		if err := json.Unmarshal(object, &m); err != nil {
			return err
		}
		i := slices.IndexFunc(a.plan, func(n artifact.ClusterNode) bool { return n.Name == m.Metadata.Name })
		if i >= 0 {
			s.machines[m.Metadata.Name] = m
			s.facts.Nodes = append(s.facts.Nodes, m.node(a.plan[i], a.zone, now))
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	err = a.client.Get(ctx, leaseRef(), &s.lease)
	if s.missing = api.Missing(err); err != nil && !s.missing {
		return s, err
	}
	s.facts.Lock = s.lease.lock()
	n, known := Subject(s.facts)
	if !known {
		return s, nil
	}
	if n.Role == "master" && s.facts.Lock.Phase != Granted {
		why, err := a.o.Spare(ctx, n.Name)
		if err != nil {
			why = "etcd cannot be asked: " + err.Error()
		}
		s.facts.Etcd = why
	}
	if s.facts.Lock.Holder != "" && s.facts.Lock.Phase == Draining {
		if s.pods, err = a.pods(ctx, n.Name); err != nil {
			return s, err
		}
		s.facts.Stays = names(s.pods)
	}
	return s, nil
}

// do does what was decided.
func (a *arbiter) do(ctx context.Context, s sight, d Decision) error {
	k := s.facts.Lock
	n, _ := s.facts.node(d.Node)
	switch d.Do {
	case Wait:
		return nil
	case Take:
		return a.hold(ctx, s, Lock{Holder: d.Node, Phase: Draining, Boot: n.Boot, Until: d.Until})
	case Cordon:
		return a.change(ctx, s, d.Node, map[string]any{oursKey: "yes"}, map[string]any{"unschedulable": true})
	case Drain:
		return a.drain(ctx, s.pods)
	case Grant:
		k.Phase, k.Until = Granted, d.Until
		return a.hold(ctx, s, k)
	case Tell:
		return a.change(ctx, s, d.Node, map[string]any{grantedKey: k.Boot + " " + k.Until.UTC().Format(time.RFC3339)}, nil)
	case Undo:
		k.Phase, k.Ending = Undoing, d.Ending
		return a.hold(ctx, s, k)
	case Restore:
		return a.restore(ctx, s, n)
	case Release:
		return a.hold(ctx, s, Lock{})
	}
	return errors.New("there is no such action: " + string(d.Do))
}

// hold writes the lease, which only succeeds when it is still as it was read.
func (a *arbiter) hold(ctx context.Context, s sight, k Lock) error {
	text := s.lease.with(k, s.facts.Time)
	if s.missing {
		return a.client.Create(ctx, leaseRef(), text, nil)
	}
	return a.client.Update(ctx, leaseRef(), "", text, nil)
}

func (a *arbiter) change(ctx context.Context, s sight, name string, notes, spec map[string]any) error {
	m, there := s.machines[name]
	if !there {
		return fmt.Errorf("%s is no node of the cluster", name)
	}
	return a.client.Merge(ctx, nodeRef(name), m.change(notes, spec), nil)
}

// restore takes off a node what the guard put there. An operator's request has been
// met once the machine went down, and stays while it did not.
func (a *arbiter) restore(ctx context.Context, s sight, n Node) error {
	notes := map[string]any{grantedKey: nil}
	var spec map[string]any
	if n.Ours && n.Ready {
		notes[oursKey], spec = nil, map[string]any{"unschedulable": nil}
	}
	if k := s.facts.Lock; k.Holder == n.Name {
		if k.Ending.Code == 0 || k.Ending.Code == bootcode.RebootLost {
			notes[requestKey], notes[restKey] = nil, nil
		}
		if k.Ending.Code != 0 {
			notes[restKey] = s.facts.Time.Add(rest).UTC().Format(time.RFC3339) + " " + k.Ending.String()
		}
	}
	return a.change(ctx, s, n.Name, notes, spec)
}
