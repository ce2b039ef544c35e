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

// Runner brings a cluster up or down, and images to where servers boot from.
type Runner struct {
	Client *Client
	// Pause waits before try or look n, from 0.
	Pause func(ctx context.Context, n int) error
	// Say takes progress, one line each; never a secret.
	Say func(string)
}

// job is what a run works on: it looks, says what is next, and does it.
type job interface {
	observe(context.Context) error
	next() ([]Change, error)
	perform(context.Context, Change) error
	// name is what people call it, exists what there is of it now, and tag what all of that carries.
	name() string
	exists() string
	tag() string
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
	return r.servers(ctx, r.upward(c))
}

// PreviewUp is what there is and what [Runner.Up] would do about it.
func (r *Runner) PreviewUp(ctx context.Context, c *Cluster) (*Observed, []Change, error) {
	w := r.upward(c)
	changes, err := r.preview(ctx, w)
	return w.seen, changes, err
}

// Down removes everything with the cluster's tag, but for images and their snapshots
// where those are to be kept.
func (r *Runner) Down(ctx context.Context, c *Cluster, keepImages bool) (*Observed, error) {
	return r.servers(ctx, r.downward(c, keepImages))
}

// PreviewDown is what there is and what [Runner.Down] would do about it.
func (r *Runner) PreviewDown(ctx context.Context, c *Cluster, keepImages bool) (*Observed, []Change, error) {
	w := r.downward(c, keepImages)
	changes, err := r.preview(ctx, w)
	return w.seen, changes, err
}

func (r *Runner) upward(c *Cluster) *work {
	return r.work(c, r.Client.Observe, func(o *Observed) ([]Change, error) { return Up(c, o) })
}

func (r *Runner) downward(c *Cluster, keepImages bool) *work {
	watch := r.Client.ObserveAll
	if keepImages {
		watch = r.Client.Observe
	}
	return r.work(c, watch, func(o *Observed) ([]Change, error) { return Down(o), nil })
}

func (r *Runner) work(c *Cluster, watch func(context.Context, *Cluster) (*Observed, error), plan func(*Observed) ([]Change, error)) *work {
	return &work{Client: r.Client, cluster: c, watch: watch, plan: plan, pause: r.Pause,
		made: map[string]bool{}, gone: map[string]bool{}, touched: map[string]bool{}}
}

func (r *Runner) servers(ctx context.Context, w *work) (*Observed, error) {
	err := r.run(ctx, w)
	return w.seen, err
}

// preview looks as a run does before it begins, and lists what that would do.
func (r *Runner) preview(ctx context.Context, w job) ([]Change, error) {
	if err := r.begin(ctx, w); err != nil {
		return nil, err
	}
	return w.next()
}

// begin looks more than once: what an earlier run made or removed a moment ago may show late.
func (r *Runner) begin(ctx context.Context, w job) error {
	for n := range settleLooks {
		if n > 0 {
			if err := r.Pause(ctx, 0); err != nil {
				return err
			}
		}
		if err := r.look(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// run carries out the first change of the list, notes what came of it, and plans
// again, until nothing is left. After any failure that may pass it looks at what
// exists before it goes on, because an attempt may have worked and not have said so.
func (r *Runner) run(ctx context.Context, w job) error {
	if err := r.begin(ctx, w); err != nil {
		return err
	}
	var said Change
	for tries, fresh := 0, true; ; {
		changes, err := w.next()
		if err != nil {
			return err
		}
		if len(changes) == 0 && fresh {
			return nil
		}
		if len(changes) == 0 { // what exists decides, not what this run believes
			if err := r.look(ctx, w); err != nil {
				return stopped(w, Change{Kind: LookAgain, Name: w.name()}, err)
			}
			fresh = true
			continue
		}
		change := changes[0]
		if tries == 0 || change != said {
			said = change
			r.Say(change.String())
		}
		err = w.perform(ctx, change)
		if err == nil {
			tries, fresh = 0, false
			continue
		}
		tries++
		if ctx.Err() != nil || permanent(err) || tries == maxTries {
			return stopped(w, change, err)
		}
		r.Say(fmt.Sprintf("  again, because of: %v", err))
		if err := r.settle(ctx, w, change, tries); err != nil {
			return stopped(w, change, err)
		}
	}
}

// settle waits and looks, more than once after an attempt that may have made an object.
func (r *Runner) settle(ctx context.Context, w job, failed Change, tries int) error {
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
		changes, err := w.next()
		if err != nil || len(changes) == 0 || changes[0] != failed {
			return nil // the next round tells
		}
	}
	return nil
}

// look observes anew, trying as often as a change is tried.
func (r *Runner) look(ctx context.Context, w job) error {
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

func stopped(w job, at Change, err error) *Stopped {
	return &Stopped{Change: at, Exists: w.exists(), Tag: w.tag(), Err: err}
}

// observe looks once and adds what this run knows better than lists do.
func (w *work) observe(ctx context.Context) error {
	seen, err := w.watch(ctx, w.cluster)
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
	seen.drop(w.gone)
	w.seen = seen
	return nil
}

func (w *work) next() ([]Change, error) { return w.plan(w.seen) }
func (w *work) name() string            { return w.cluster.Name }
func (w *work) tag() string             { return ClusterTag + w.cluster.Name }
func (w *work) exists() string          { return w.seen.Summary() }
