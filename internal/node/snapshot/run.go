package snapshot

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
	form "github.com/imgforge/imgforge/internal/snapshot"
)

// Run takes, copies and keeps snapshots until ctx ends.
func Run(ctx context.Context, o Options) error {
	m, err := load(o)
	if err != nil {
		return bootcode.Fail(bootcode.SnapshotUnable, "%v", err)
	}
	if m.plan.Off {
		m.done("snapshots are switched off: etcd.snapshot.enabled is false")
		<-ctx.Done()
		return nil
	}
	defer m.http.CloseIdleConnections()
	begun := m.o.Now()
	for {
		m.turn(ctx, begun)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(m.o.Pace):
		}
	}
}

// Once takes a snapshot now, whoever's turn it is, and says where it is.
func Once(ctx context.Context, o Options) (path string, err error) {
	m, err := load(o)
	if err != nil {
		return "", bootcode.Fail(bootcode.SnapshotUnable, "%v", err)
	}
	defer m.http.CloseIdleConnections()
	n, err := m.take(ctx)
	if err != nil {
		return "", codeOf(err)
	}
	path = filepath.Join(m.folder(), n.String())
	if m.bucket != nil {
		if err := m.bucket.put(ctx, path, n); err != nil {
			return path, bootcode.Fail(bootcode.SnapshotBucket, "%v", err)
		}
	}
	return path, nil
}

// turn does what is due, and says what came of it.
func (m *master) turn(ctx context.Context, begun time.Time) {
	now, err := m.standing(ctx)
	if err != nil {
		m.overdue(begun, "its etcd does not answer: "+err.Error())
		return
	}
	if now.leads && m.due() {
		if _, err = m.take(ctx); err == nil {
			err = m.prune()
		}
	} else if !now.leads {
		if err = m.copyNewest(ctx); err == nil {
			err = m.prune()
		}
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		m.failed(codeOf(err))
	default:
		m.store(ctx, now.leads, begun)
	}
}

// store brings the newest snapshot into the bucket, and says what there is.
func (m *master) store(ctx context.Context, leads bool, begun time.Time) {
	newest, ok := m.newest()
	if !ok || m.o.Now().Sub(newest.Time) > 2*m.every {
		m.overdue(begun, "")
		return
	}
	where := ""
	if m.bucket != nil && leads {
		if err := m.bucket.sync(ctx, m.folder(), newest, m.rule()); err != nil {
			if ctx.Err() == nil {
				m.failed(bootcode.Fail(bootcode.SnapshotBucket, "%v", err))
			}
			return
		}
		where = ", in the bucket too"
	}
	size := int64(0)
	if info, err := os.Stat(filepath.Join(m.folder(), newest.String())); err == nil {
		size = info.Size()
	}
	m.done(fmt.Sprintf("the newest is %s, %d bytes%s", newest, size, where))
}

// due tells whether the next snapshot's time has come.
func (m *master) due() bool {
	n, ok := m.newest()
	return !ok || m.o.Now().Sub(n.Time) >= m.every
}

// newest is the newest snapshot here that is not of the future: a clock that was
// wrong once must not stop snapshots for long.
func (m *master) newest() (form.Name, bool) {
	names, err := List(m.folder())
	if err != nil {
		return form.Name{}, false
	}
	for i := len(names) - 1; i >= 0; i-- {
		if !m.ahead(names[i]) {
			return names[i], true
		}
	}
	return form.Name{}, false
}

// overdue warns when there is no snapshot for too long, counted from the start of this
// process at the earliest.
func (m *master) overdue(begun time.Time, why string) {
	n, ok := m.newest()
	since, what := begun, "there is none on this node"
	if ok {
		what = "the newest here is " + n.String()
		if n.Time.After(since) {
			since = n.Time
		}
	}
	if m.o.Now().Sub(since) <= 2*m.every {
		return
	}
	if why != "" {
		what += "\n" + why
	}
	m.failed(bootcode.Fail(bootcode.SnapshotOverdue, "%s", what))
}

func (m *master) failed(f *bootcode.Failure) {
	if text := f.Error(); text != m.last {
		m.last = text
		m.o.Report.Failed(f)
	}
}

func (m *master) done(text string) {
	if text != m.last {
		m.last = text
		m.o.Report.Done(step.Snapshot, text)
	}
}
