// Package apply gives the cluster what every cluster of imgforge has: the bindings
// that kubelets need, the role labels of nodes, and the base add-ons. Every master
// runs it; the first to get there applies the add-ons. It applies on the server's
// side, leaves to users what they have set, and never deletes anything.
package apply

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/api"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/profiles/addons"
)

// The authority of kubelets' serving certificates, which signs for metrics-server too.
const (
	kubeletCAPath    = "/etc/kubernetes/pki/kubelet-signer.crt"
	kubeletCAKeyPath = "/etc/kubernetes/pki/kubelet-signer.key"
)

// Options are what a run takes from outside; zero values are those of a node.
type Options struct {
	Root   string // "/" when empty
	Report step.Reporter
	Now    func() time.Time
	Rand   io.Reader
	// Pace is the pause between two looks while the API server is awaited; 250 ms.
	Pace time.Duration
	// Rest is the pause between two looks when all is applied; 10 s.
	Rest time.Duration
}

// applier is a master at work.
type applier struct {
	o       Options
	client  *api.Client
	cluster artifact.ClusterFile
	lock    *lock
	facts   addons.Facts // without the leaf of metrics-server
	// wanted are the add-ons as this node would apply them, with their hashes.
	wanted []addon

	started time.Time
	bound   bool            // the bindings are applied
	settled map[string]bool // add-ons that were in the cluster as wanted, now or before
	held    bool            // an upgrade has not reached all nodes
	leafAt  time.Time       // when to look at the leaf of metrics-server again
	tries   int             // looks in a row that something went wrong in
	said    map[int]string  // last text by code
	last    string          // last text that is no code
}

// Run applies until ctx ends.
func Run(ctx context.Context, o Options) error {
	a, err := load(o)
	if err != nil {
		return bootcode.Fail(bootcode.AddonsUnable, "%v", err)
	}
	a.run(ctx)
	return nil
}

// run looks until ctx ends.
func (a *applier) run(ctx context.Context) {
	a.waiting("the API server of this node to be ready")
	for {
		pause := a.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func load(o Options) (*applier, error) {
	o.Root, o.Rand = cmp.Or(o.Root, "/"), cmp.Or[io.Reader](o.Rand, rand.Reader)
	o.Pace, o.Rest = cmp.Or(o.Pace, 250*time.Millisecond), cmp.Or(o.Rest, 10*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &applier{o: o, started: o.Now(), settled: map[string]bool{}, said: map[int]string{}}
	me, err := artifact.ReadNodeFile(o.Root)
	if err != nil {
		return nil, fmt.Errorf("read who this node is: %w", err)
	}
	if a.cluster, err = artifact.ReadClusterFile(o.Root); err != nil {
		return nil, fmt.Errorf("read what the cluster is: %w", err)
	}
	if a.cluster.Addons == nil {
		return nil, fmt.Errorf("%s does not say which add-ons to apply", artifact.ClusterFilePath)
	}
	if a.facts.KubeletCA, err = os.ReadFile(filepath.Join(o.Root, kubeletCAPath)); err != nil {
		return nil, fmt.Errorf("read the authority of kubelets: %w", err)
	}
	if a.wanted, err = wanted(a.cluster, a.facts); err != nil {
		return nil, err
	}
	a.remember()
	if a.client, err = api.New(o.Root); err != nil {
		return nil, err
	}
	a.lock = &lock{client: a.client, identity: me.Node, now: o.Now}
	return a, nil
}

// look does what there is to do and returns how long to pause. An object that the
// API server does not take holds nothing else up.
func (a *applier) look(ctx context.Context) time.Duration {
	var left []error // refusals, which were told
	if !a.bound {
		if err := a.client.Ready(ctx); err != nil {
			return a.unready(err)
		}
		err := a.bind(ctx)
		if err != nil && !errors.Is(err, errRefused) {
			return a.failed(err)
		}
		a.bound = err == nil
		left = append(left, err)
	}
	missing, err := a.label(ctx)
	if err != nil && !errors.Is(err, errRefused) {
		return a.failed(err)
	}
	finished, addonsErr := a.addons(ctx)
	if err := errors.Join(append(left, err, addonsErr)...); err != nil {
		return a.failed(err)
	}
	a.tries = 0
	for _, code := range []int{bootcode.AddonsUnable, bootcode.AddonsFailed, bootcode.AddonsDenied, bootcode.LabelRefused, bootcode.ObjectRefused} {
		delete(a.said, code)
	}
	// Nodes of the first boot come within minutes; those that come later can wait
	// a little for a label.
	if !finished && !a.held || missing && a.o.Now().Sub(a.started) < hurry {
		return min(4*a.o.Pace, a.o.Rest)
	}
	return a.o.Rest
}

// hurry is for how long after the start missing nodes are looked for often.
const hurry = 5 * time.Minute

// unready waits for the API server; only a stranger's certificate needs somebody.
func (a *applier) unready(err error) time.Duration {
	if api.Unwelcome(err) || api.Strange(err) {
		a.say(bootcode.Fail(bootcode.AddonsDenied, "%v", err))
		return 4 * a.o.Pace
	}
	return a.o.Pace
}

// say tells what is new.
func (a *applier) say(f *bootcode.Failure) {
	if text := f.Error(); a.said[f.Code.Number] != text {
		a.said[f.Code.Number] = text
		a.o.Report.Failed(f)
	}
}
