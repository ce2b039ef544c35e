package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of a row's parts.
const (
	boundFault = 8 * time.Minute // Do
	boundWhole = 6 * time.Minute
	boundCalm  = time.Minute
)

// show shows one row and tells whether the cluster is whole after it.
func (r *ring) show(ctx context.Context, f Fault, row *FaultRow) (whole bool) {
	b := &bout{ring: r, row: row}
	r.Phase(f.Name)
	before := r.ledger.acknowledged()
	err := r.calm(ctx)
	if err == nil {
		whole, err = b.happen(ctx, f)
	}
	if ctx.Err() != nil {
		return false // it was interrupted, and shows nothing
	}
	row.Acknowledged = r.ledger.acknowledged()
	row.During = row.Acknowledged - before
	row.Seconds = time.Since(row.At).Seconds()
	row.Passed = err == nil
	if err != nil {
		row.Error = err.Error()
		r.keepWords()
	}
	said := slices.DeleteFunc([]string{row.Evidence, row.Error}, func(s string) bool { return s == "" })
	r.logf("%s  %s: %s", map[bool]string{true: "holds", false: "FAILS"}[row.Passed], f.Name, strings.Join(said, "; "))
	return whole
}

// calm waits until the clients work, so that what comes is the fault's doing.
func (r *ring) calm(ctx context.Context) error {
	r.ledger.aside(nil)
	from := time.Now()
	bounded, cancel := context.WithTimeout(ctx, boundCalm)
	defer cancel()
	if err := Await(bounded, "all clients work", func(context.Context) error { return r.ledger.allSucceededSince(from) }); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	return nil
}

// happen has the fault happen, waits until the cluster is whole, and judges.
func (b *bout) happen(ctx context.Context, f Fault) (whole bool, err error) {
	if b.watch, err = b.watchAddresses(ctx); err != nil {
		return false, err
	}
	defer b.watch.stop()
	b.Begun()
	bounded, cancel := context.WithTimeout(ctx, cmp.Or(f.Within, boundFault))
	b.row.Evidence, err = f.Do(bounded, b)
	cancel()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	whole, wholeErr := b.back(ctx)
	b.measure(f)
	_, judged := b.judge(ctx)
	return whole && judged == nil, errors.Join(err, wholeErr, judged)
}

// back waits until the cluster is whole and all clients work, and notes how long
// that took.
func (b *bout) back(ctx context.Context) (whole bool, err error) {
	b.ledger.aside(nil)
	if err := b.becomesWhole(ctx, boundWhole); err != nil {
		return false, fmt.Errorf("not whole again: %w", err)
	}
	b.row.Last = b.last
	at := time.Now()
	from := b.begun
	if !b.healed.IsZero() {
		from = b.healed
	}
	b.Measure(wayBack, at.Sub(from), 0)
	took, err := b.Wait(ctx, "every kubelet reports", boundWhole, func(ctx context.Context) error { return b.reports(ctx, from) })
	if err != nil {
		return false, err
	}
	b.Measure("every kubelet reported again", took-from.Sub(b.begun), 0)
	return true, b.calm(ctx)
}

// measure notes the interruptions and the moves of addresses.
func (b *bout) measure(f Fault) {
	to := time.Now()
	for _, what := range []string{readsThrough, writesThrough, writesOutside} {
		m := Measure{What: what, Seconds: b.ledger.longest(what, b.begun, to).Seconds()}
		if f.Serves && what != writesOutside {
			m.Aim = aimAnswer
		}
		b.row.Interruptions = append(b.row.Interruptions, m)
	}
	b.row.Measures = append(b.row.Measures, b.watch.moves(b.begun)...)
}

// judge reads every acknowledged write on every master.
func (b *bout) judge(ctx context.Context) (lost int, err error) {
	b.live("reading every key on every master")
	v, err := b.verify(ctx)
	b.row.Lost = len(v.lost)
	if len(v.lost) > 0 {
		err = errors.Join(err, fmt.Errorf("ACKNOWLEDGED WRITES LOST: %d: %.300s", len(v.lost), fmt.Sprint(v.lost)))
	}
	return len(v.lost), errors.Join(err, b.ledger.violated())
}
