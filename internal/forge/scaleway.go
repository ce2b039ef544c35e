package forge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/imgforge/imgforge/internal/scaleway"
	"github.com/imgforge/imgforge/pki"
)

// Servers is what a run at a provider found, changed, or would change.
type Servers struct {
	Changes []string // still to be made; none after a run
	Exists  string
	Notes   []string
}

// Unfinished is a run at a provider that stopped halfway, with what to do next.
type Unfinished struct{ Err error }

func (e *Unfinished) Error() string { return e.Err.Error() }
func (e *Unfinished) Unwrap() error { return e.Err }

// account is an account at a provider and the cluster that is to exist there.
type account struct {
	runner  *scaleway.Runner
	cluster *scaleway.Cluster
}

func (a *App) account(c *cluster, st *pki.Store) (*account, error) {
	wanted, err := c.atScaleway(st)
	if err != nil {
		return nil, err
	}
	client, err := scaleway.NewClient(wanted.Zone)
	if err != nil {
		return nil, err
	}
	return &account{cluster: wanted, runner: &scaleway.Runner{Client: client, Pause: pause, Say: func(line string) { a.logf("%s", line) }}}, nil
}

// pause waits a second at first, and at most a quarter of a minute.
func pause(ctx context.Context, n int) error {
	t := time.NewTimer(min(time.Second<<min(n, 8), 15*time.Second))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// UpOptions choose what is done besides making what is missing.
type UpOptions struct {
	Source Source
	// Kubeconfig names a file: of nodes that are Ready the user-data goes. "" asks no cluster.
	Kubeconfig string
	// Dry makes no change.
	Dry bool
}

// ScalewayUp makes servers and all they need exist, or tells what it would do.
func (a *App) ScalewayUp(ctx context.Context, o UpOptions) (*Servers, error) {
	c, st, err := a.open(o.Source)
	if err != nil {
		return nil, err
	}
	if err := c.findPrograms(o.Source, st); err != nil {
		return nil, err
	}
	at, err := a.account(c, st)
	if err != nil {
		return nil, err
	}
	if o.Kubeconfig != "" {
		if c.plan.Platform.Scaleway.KeepUserData {
			return nil, invalidAt(c, "platform.scaleway.keepUserData", "user-data stays, and --kubeconfig is for deleting it", "leave one of them out")
		}
		if at.cluster.Ready, err = readyNodes(ctx, o.Kubeconfig); err != nil {
			return nil, err
		}
	}
	if o.Dry {
		return at.found(at.runner.PreviewUp(ctx, at.cluster))
	}
	seen, err := at.runner.Up(ctx, at.cluster)
	if err != nil {
		return nil, unfinished(err, "run `imgforge up scaleway` again to go on from here, or `imgforge down scaleway` to remove all of it")
	}
	return &Servers{Exists: seen.Summary(), Notes: at.notes(seen)}, nil
}

// DownOptions choose what goes.
type DownOptions struct {
	Source Source
	// KeepImages leaves images and snapshots that were published.
	KeepImages bool
	// Dry makes no change.
	Dry bool
}

// ScalewayDown removes everything that carries the cluster's tag, once agree says so.
func (a *App) ScalewayDown(ctx context.Context, o DownOptions, agree func(*Servers) (bool, error)) (*Servers, error) {
	c, err := a.load(o.Source, storeFacts(o.Source.storeDir()))
	if err != nil {
		return nil, err
	}
	at, err := a.account(c, nil)
	if err != nil {
		return nil, err
	}
	found, err := at.found(at.runner.PreviewDown(ctx, at.cluster, o.KeepImages))
	if err != nil || o.Dry || len(found.Changes) == 0 {
		return found, err
	}
	if yes, err := agree(found); err != nil || !yes {
		return found, err
	}
	seen, err := at.runner.Down(ctx, at.cluster, o.KeepImages)
	if err != nil {
		return nil, unfinished(err, "run `imgforge down scaleway` again to go on from here")
	}
	out := &Servers{Exists: seen.Summary()}
	for _, name := range scaleway.Booted(seen) {
		out.Notes = append(out.Notes, fmt.Sprintf("image %s stays: a server that does not carry the cluster's tag was made from it", name))
	}
	return out, nil
}

// found is what a look found, and what would be done about it.
func (at *account) found(seen *scaleway.Observed, changes []scaleway.Change, err error) (*Servers, error) {
	if err != nil {
		return nil, err
	}
	out := &Servers{Exists: seen.Summary(), Notes: at.notes(seen)}
	for _, change := range changes {
		out.Changes = append(out.Changes, change.String())
	}
	return out, nil
}

// notes is what a person has to know or do.
func (at *account) notes(seen *scaleway.Observed) []string {
	var out []string
	for _, name := range scaleway.Extra(at.cluster, seen) {
		out = append(out, fmt.Sprintf("server %s carries the cluster's tag and is not in the cluster file: drain it and remove it yourself", name))
	}
	for _, name := range scaleway.Loose(seen) {
		out = append(out, fmt.Sprintf("volume %s is attached to no server, and is paid for: a server that is gone left it; delete it when nobody needs it", name))
	}
	if at.cluster.Edge != "" && !at.cluster.EdgeIP.IsValid() {
		for _, ip := range seen.IPs {
			if ip.Ours {
				out = append(out, fmt.Sprintf("the proxies' address is %s: write it as roles.%s.publicIP, for certificates and kubeconfigs", ip.Address, at.cluster.Edge))
			}
		}
	}
	return out
}

// unfinished adds what to do to a run that stopped halfway.
func unfinished(err error, next string) error {
	if _, ok := errors.AsType[*scaleway.Stopped](err); ok {
		return &Unfinished{fmt.Errorf("%w\n%s", err, next)}
	}
	return err
}
