package lab

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Run boots a topology in a lab of its own and returns what was seen of it, also
// with an error: of the trial, of a check that does not hold, or of what could
// not be cleaned up.
func Run(ctx context.Context, c Config, topology Topology) (_ *Outcome, err error) {
	result := &Outcome{Topology: topology.Name, About: topology.About, Kind: topology.Kind, Cluster: topology.Cluster, Started: time.Now().UTC()}
	l, err := New(ctx, c)
	if err != nil {
		return result, err
	}
	t := &Trial{Lab: l, Topology: topology, result: result}
	err = t.play(ctx)
	t.keepMachines(ctx)
	if c.Hold != nil {
		c.Hold(ctx, t)
	}
	if closeErr := l.Close(ctx); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("leave nothing behind: %w", closeErr))
	}
	result.Seconds = time.Since(result.Started).Seconds()
	if err != nil {
		result.Error = err.Error()
	}
	err = errors.Join(err, result.failed())
	if topology.Row != nil {
		result.rowOf(*topology.Row, err)
	}
	return result, err
}

func (t *Trial) play(ctx context.Context) error {
	t.logf("%s: %s", t.Topology.Name, t.Topology.About)
	if err := t.build(ctx); err != nil {
		return fmt.Errorf("build the cluster: %w", err)
	}
	return t.Topology.Play(ctx, t)
}
