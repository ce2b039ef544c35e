package scaleway

import (
	"context"
	"fmt"
)

// Tries of one change before a run gives up, and looks at what exists before an
// attempt that may have made something is repeated: lists may lag behind.
const (
	maxTries    = 8
	settleLooks = 3
)

// Runner brings a cluster up or down.
type Runner struct {
	Client *Client
	// Pause waits before try or look n, from 0.
	Pause func(ctx context.Context, n int) error
	// Say takes progress, one line each; never a secret.
	Say func(string)
}

// Stopped is a run that did not finish. It says what exists now.
type Stopped struct {
	Change Change
	Exists string
	Tag    string
	Err    error
}

func (e *Stopped) Error() string {
	return fmt.Sprintf("%s: %v\nwhat exists now, with the tag %s: %s", e.Change, e.Err, e.Tag, e.Exists)
}

func (e *Stopped) Unwrap() error { return e.Err }

// Up makes what is wanted exist. It returns what exists in the end.
func (r *Runner) Up(ctx context.Context, c *Cluster) (*Observed, error) {
	return r.run(ctx, c, func(o *Observed) ([]Change, error) { return Up(c, o) })
}

// Down removes everything with the cluster's tag.
func (r *Runner) Down(ctx context.Context, c *Cluster) (*Observed, error) {
	return r.run(ctx, c, func(o *Observed) ([]Change, error) { return Down(o), nil })
}

// run carries out the first change of the list, notes what came of it, and plans
// again, until nothing is left. After any failure that may pass it looks at what
// exists before it goes on, because an attempt may have worked and not have said so.
func (r *Runner) run(ctx context.Context, c *Cluster, next func(*Observed) ([]Change, error)) (*Observed, error) {
	w := &work{Client: r.Client, cluster: c, made: map[string]bool{}, gone: map[string]bool{}, pause: r.Pause}
	// What an earlier run made a moment ago may show late.
	for n := range settleLooks {
		if n > 0 {
			if err := r.Pause(ctx, 0); err != nil {
				return nil, err
			}
		}
		if err := r.look(ctx, w); err != nil {
			return nil, err
		}
	}
	for tries, fresh := 0, true; ; {
		changes, err := next(w.seen)
		if err != nil {
			return w.seen, err
		}
		if len(changes) == 0 && fresh {
			return w.seen, nil
		}
		if len(changes) == 0 { // what exists decides, not what this run believes
			if err := r.look(ctx, w); err != nil {
				return w.seen, w.stopped(Change{Kind: LookAgain, Name: c.Name}, err)
			}
			fresh = true
			continue
		}
		change := changes[0]
		if tries == 0 {
			r.Say(change.String())
		}
		err = w.perform(ctx, change)
		if err == nil {
			tries, fresh = 0, false
			continue
		}
		tries++
		if ctx.Err() != nil || permanent(err) || tries == maxTries {
			return w.seen, w.stopped(change, err)
		}
		r.Say(fmt.Sprintf("  again, because of: %v", err))
		if err := r.settle(ctx, w, change, tries, next); err != nil {
			return w.seen, w.stopped(change, err)
		}
	}
}

// settle waits and looks, more than once after an attempt that may have made an object.
func (r *Runner) settle(ctx context.Context, w *work, failed Change, tries int, next func(*Observed) ([]Change, error)) error {
	looks := 1
	if failed.creates() {
		looks = settleLooks
	}
	for range looks {
		if err := r.Pause(ctx, tries); err != nil {
			return err
		}
		if err := r.look(ctx, w); err != nil {
			return err
		}
		changes, err := next(w.seen)
		if err != nil || len(changes) == 0 || changes[0] != failed {
			return nil // the next round tells
		}
	}
	return nil
}

// look observes anew, trying as often as a change is tried.
func (r *Runner) look(ctx context.Context, w *work) error {
	for tries := 1; ; tries++ {
		err := w.observe(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || permanent(err) || tries == maxTries {
			return err
		}
		if err := r.Pause(ctx, tries); err != nil {
			return err
		}
	}
}

func (w *work) stopped(at Change, err error) *Stopped {
	return &Stopped{Change: at, Exists: w.seen.Summary(), Tag: ClusterTag + w.cluster.Name, Err: err}
}

// observe looks once and adds what this run knows better than lists do.
func (w *work) observe(ctx context.Context) error {
	seen, err := w.Observe(ctx, w.cluster)
	if err != nil {
		return err
	}
	shown := map[string]bool{}
	for _, v := range seen.Volumes {
		shown[v.ID] = true
	}
	for _, s := range seen.Servers {
		shown[s.ID] = true
	}
	if w.seen != nil {
		seen.keep(w.seen, w.made)
	}
	seen.drop(w.gone)
	if err := w.refresh(ctx, seen, shown); err != nil {
		return err
	}
	w.seen = seen
	return nil
}
