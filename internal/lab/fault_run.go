package lab

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// RunFaults shows rows of a topology's table on as many clusters as that takes, and
// puts each row into the outcome. Rows that are there are not shown again, unless
// patterns name them. It calls save after every row, and returns what did not hold.
func RunFaults(ctx context.Context, c Config, topology Topology, o FaultOptions, commit string, out *Outcome, save func() error) error {
	all, err := topology.Faults()
	if err != nil {
		return err
	}
	s := &series{config: c, topology: topology, commit: commit, out: out, all: all, save: save}
	begun := time.Now()
	defer func() { out.Seconds += time.Since(begun).Seconds() }()
	for _, f := range all {
		if o.wants(f) && (out.row(f.Name) == nil || len(o.Patterns) > 0) {
			s.rest = append(s.rest, f)
		}
	}
	// Those that may leave their cluster broken come after those that share one.
	slices.SortStableFunc(s.rest, func(a, b Fault) int { return order(a.Fresh) - order(b.Fresh) })
	if topology.Row != nil {
		return s.play(ctx)
	}
	for len(s.rest) > 0 && ctx.Err() == nil {
		if err := s.cluster(ctx); err != nil {
			out.Error = err.Error()
			return errors.Join(err, save())
		}
	}
	return errors.Join(out.failedRows(), ctx.Err())
}

func order(later bool) int {
	if later {
		return 1
	}
	return 0
}

// series is a run of rows of one topology.
type series struct {
	config   Config
	topology Topology
	commit   string
	out      *Outcome
	all      []Fault
	rest     []Fault
	save     func() error
}

// play shows the row of a topology that is a row by itself.
func (s *series) play(ctx context.Context) error {
	if len(s.rest) == 0 {
		return s.out.failedRows()
	}
	took := s.out.Seconds
	seen, err := Run(ctx, s.config, s.topology)
	if ctx.Err() != nil {
		return ctx.Err() // it was interrupted, and shows nothing
	}
	if len(seen.Faults) == 0 {
		return err // no lab could be made
	}
	seen.Faults[0].Commit = s.commit
	*s.out = *seen
	s.out.Seconds = took // the caller adds what it took now
	return errors.Join(s.out.failedRows(), s.save())
}

// rowOf makes a row of an outcome, with what the play has noted in it.
func (o *Outcome) rowOf(f Fault, err error) {
	if len(o.Faults) == 0 {
		o.Faults = []*FaultRow{{}}
	}
	r := o.Faults[0]
	r.Class, r.Name, r.Short, r.At, r.Seconds, r.Passed = f.Class, f.Name, f.Short, o.Started, o.Seconds, err == nil
	if err != nil {
		r.Error = err.Error()
	}
}

// cluster boots a cluster and shows rows on it until there are none, or it is not
// what it was. An error says that no cluster could be booted, or none taken down.
func (s *series) cluster(ctx context.Context) (err error) {
	config := s.config
	config.Artifacts = filepath.Join(config.Artifacts, slug(s.rest[0].Name))
	l, err := New(ctx, config)
	if err != nil {
		return err
	}
	t := &Trial{Lab: l, Topology: s.topology, result: &Outcome{Topology: s.topology.Name}}
	before := len(s.rest)
	var r *ring
	if s.rest[0].Bucket {
		t.bucket, err = l.newBucket()
	}
	if err == nil {
		r, err = t.ring(ctx, s)
	}
	if err == nil && r != nil {
		s.bouts(ctx, r)
	}
	if config.Hold != nil {
		config.Hold(ctx, t)
	}
	s.out.Nodes = t.result.Nodes
	if closed := l.Close(ctx); closed != nil {
		err = errors.Join(err, fmt.Errorf("leave nothing behind: %w", closed))
	}
	if err == nil && r != nil && len(s.rest) == before && ctx.Err() == nil {
		err = errors.New("a cluster was booted and no row shown on it")
	}
	return err
}

// slug makes a folder's name of a row's.
func slug(name string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name)), "-")
}

// ring boots a cluster for rows; nil when none of those that are left can be shown.
func (t *Trial) ring(ctx context.Context, s *series) (*ring, error) {
	if err := t.build(ctx); err != nil {
		return nil, fmt.Errorf("build the cluster: %w", err)
	}
	if err := s.unable(t); err != nil || len(s.rest) == 0 {
		return nil, err
	}
	if err := t.Containers(ctx); err != nil {
		return nil, err
	}
	if t.bucket != nil {
		if err := t.bucket.serve(ctx, t.wire); err != nil {
			return nil, err
		}
	}
	for _, name := range t.existing() {
		made, _ := t.Plan.Node(name)
		if _, err := t.Make(ctx, name, t.Topology.Payload(made)); err != nil {
			return nil, err
		}
	}
	r := &ring{Trial: t, spare: map[*Node]bool{}}
	var err error
	if r.o, err = t.operator(ctx); err != nil {
		return nil, err
	}
	t.Phase("a cluster to try faults on")
	first, err := PowerOn(ctx, t.nodes)
	if err != nil {
		return nil, err
	}
	if err := t.boots(ctx, r.o, t.nodes, first); err != nil {
		return nil, err
	}
	if r.ledger, err = r.newLedger(ctx); err != nil {
		return nil, err
	}
	return r, r.becomesWhole(ctx, boundBoot)
}

// unable notes the rows that cannot be shown here.
func (s *series) unable(t *Trial) error {
	var able []Fault
	for _, f := range s.rest {
		why := ""
		if f.Unable != nil {
			why = f.Unable(t)
		}
		if why == "" {
			able = append(able, f)
			continue
		}
		s.out.keep(s.row(f, &FaultRow{Unable: why}), s.all)
	}
	s.rest = able
	return s.save()
}

// row fills in what a row has of its fault.
func (s *series) row(f Fault, r *FaultRow) *FaultRow {
	r.Class, r.Name, r.Short, r.Commit, r.At = f.Class, f.Name, f.Short, s.commit, time.Now().UTC()
	return r
}

// bouts shows rows on a cluster for as long as it is whole after each.
func (s *series) bouts(ctx context.Context, r *ring) {
	begun := time.Now()
	for i := 0; len(s.rest) > 0 && ctx.Err() == nil; i++ {
		f := s.rest[0]
		if f.Fresh && i > 0 || time.Since(begun) > lifeOfCluster {
			return
		}
		row := s.row(f, &FaultRow{})
		whole := r.show(ctx, f, row)
		if ctx.Err() != nil {
			return
		}
		s.rest = s.rest[1:]
		s.out.keep(row, s.all)
		if err := s.save(); err != nil {
			r.logf("the report is not saved: %v", err)
		}
		if f.Fresh || !whole {
			return
		}
	}
}

// lifeOfCluster bounds how many keys a cluster's ledger grows to: all of them are
// read again after every row.
const lifeOfCluster = 45 * time.Minute

// failedRows joins the rows that did not hold.
func (o *Outcome) failedRows() error {
	var errs []error
	for _, r := range o.Faults {
		if !r.Passed && r.Unable == "" {
			errs = append(errs, fmt.Errorf("%s: %s", r.Name, r.Error))
		}
	}
	return errors.Join(errs...)
}
