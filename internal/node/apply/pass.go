package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/profiles/addons"
)

// addons brings the cluster's add-ons to what this node wants, if nobody else is at
// it, and tells whether there is nothing left to do.
func (a *applier) addons(ctx context.Context) (finished bool, err error) {
	have, err := a.recorded(ctx)
	if err != nil {
		return false, err
	}
	todo, held, err := a.hold(ctx, have, a.todo(have))
	if err != nil {
		return false, err
	}
	a.held = held != ""
	renew, err := a.leafDue(ctx)
	if err != nil {
		return false, err
	}
	if len(todo) == 0 && !renew {
		return a.idle(have, held), nil
	}
	holder, err := a.lock.during(ctx, func(ctx context.Context) error {
		have, err := a.recorded(ctx) // another may have been at it until now
		if err != nil {
			return err
		}
		todo, _, err := a.hold(ctx, have, a.todo(have))
		if err != nil {
			return err
		}
		return a.applyAll(ctx, todo)
	})
	if err != nil {
		return false, err
	}
	if holder != a.lock.identity {
		a.waiting(fmt.Sprintf("%s applies the add-ons", cmp.Or(holder, "another master")))
		return false, nil
	}
	if have, err = a.recorded(ctx); err != nil {
		return false, err
	}
	if todo, held, err = a.hold(ctx, have, a.todo(have)); err != nil || len(todo) > 0 {
		return false, err
	}
	return a.idle(have, held), nil
}

// idle tells what is in the cluster or what the rest waits for, when there is nothing
// to apply now, and returns whether that is all.
func (a *applier) idle(have record, held string) (finished bool) {
	if held != "" {
		a.waiting(held)
		return false
	}
	a.done(have)
	return true
}

// todo are the add-ons whose content is not what this node would apply, and that are
// this node's to apply.
func (a *applier) todo(have record) (out []addon) {
	var older, differ []string
	for _, want := range a.wanted {
		e := have.of(want.Name)
		age := compare(e.Kubernetes, a.cluster.Kubernetes)
		switch {
		case want.Name == addons.Bindings: // at every start, whatever was applied
		case e.Hash == want.hash:
			a.settle(want.Name)
		case e.Hash == "":
			out = append(out, want)
		case age > 0:
			older = append(older, fmt.Sprintf("%s is that of Kubernetes %s, applied by %s; this node's is of %s", want.Name, e.Kubernetes, e.By, a.cluster.Kubernetes))
		case age == 0 && a.settled[want.Name]:
			differ = append(differ, fmt.Sprintf("%s was applied by %s", want.Name, e.By))
		default:
			out = append(out, want)
		}
	}
	a.told(bootcode.AddonsOlder, older)
	a.told(bootcode.AddonsDiffer, differ)
	return out
}

// told tells what a look found, and forgets it once another look does not.
func (a *applier) told(code int, lines []string) {
	if len(lines) == 0 {
		delete(a.said, code)
		return
	}
	a.say(bootcode.Fail(code, "%s", strings.Join(shorten(lines), "\n")))
}

// applyAll applies add-ons one after the other, and the rest of them when one fails.
func (a *applier) applyAll(ctx context.Context, todo []addon) error {
	var refused []string
	var failures []error
	for _, want := range todo {
		no, err := a.applyOne(ctx, want)
		refused, failures = append(refused, no...), append(failures, err)
	}
	no, err := a.renewLeaf(ctx)
	refused, failures = append(refused, no...), append(failures, err)
	return errors.Join(append(failures, a.refused(bootcode.ObjectRefused, refused))...)
}

// applyOne applies an add-on and records it when all of its objects are applied.
func (a *applier) applyOne(ctx context.Context, want addon) (refused []string, err error) {
	objects := want.Objects
	if want.Name == addons.MetricsServer {
		if objects, err = a.withLeaf(ctx); err != nil {
			return nil, err
		}
	}
	kept, refused, err := a.applyObjects(ctx, objects)
	if err != nil || len(refused) > 0 {
		return refused, err
	}
	e := entry{Hash: want.hash, Kubernetes: a.cluster.Kubernetes, By: a.lock.identity, Kept: kept}
	if err := a.write(ctx, want.Name, e); err != nil {
		return nil, err
	}
	if want.Name == addons.MetricsServer {
		a.leafAt = a.o.Now().Add(leafEvery)
	}
	a.settle(want.Name)
	return nil, nil
}

// applyObjects applies what it can. What is about one object is refused; anything
// else ends it.
func (a *applier) applyObjects(ctx context.Context, objects []addons.Object) (kept, refused []string, err error) {
	for _, o := range objects {
		k, err := a.put(ctx, ref(o), o.JSON)
		kept = append(kept, k...)
		switch {
		case err == nil:
		case final(err):
			refused = append(refused, err.Error())
		default:
			return kept, refused, err
		}
	}
	return kept, refused, nil
}

// done tells what is in the cluster now, and which values of others stay.
func (a *applier) done(have record) {
	var kept []string
	for _, want := range a.wanted {
		kept = append(kept, have.of(want.Name).Kept...)
	}
	a.told(bootcode.ValueKept, kept)
	var names []string
	for _, want := range a.wanted {
		names = append(names, want.Name)
	}
	text := "applied: " + strings.Join(names, ", ")
	if codes := slices.Sorted(maps.Keys(a.said)); len(codes) > 0 {
		text += "; see what was said of it:"
		for _, c := range codes {
			text += fmt.Sprintf(" %d", c)
		}
	}
	if text != a.last {
		a.last = text
		a.o.Report.Done(step.Addons, text)
	}
}

func (a *applier) waiting(text string) {
	if text != a.last {
		a.last = text
		a.o.Report.Waiting(step.Addons, text)
	}
}
