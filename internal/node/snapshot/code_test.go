package snapshot

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
	form "github.com/imgforge/imgforge/internal/snapshot"
	"github.com/imgforge/imgforge/internal/testtool"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// reporter keeps what a master says.
type reporter struct{ texts []string }

func (r *reporter) Failed(f *bootcode.Failure) { r.texts = append(r.texts, f.Error()) }
func (r *reporter) Waiting(_, what string)     { r.texts = append(r.texts, what) }
func (r *reporter) Done(_, what string)        { r.texts = append(r.texts, what) }

// Every code has one golden text, made by what causes it.
func TestEveryCodeHasItsText(t *testing.T) {
	texts := map[int]string{}
	note := func(f *bootcode.Failure) { texts[f.Code.Number] = f.Error() }
	note(codeOf(fmt.Errorf("read what was written: %w", form.ErrDamaged)))
	note(codeOf(&os.PathError{Op: "write", Path: "/var/lib/imgforge/snapshots/.imgforge-tmp-1", Err: syscall.ENOSPC}))
	note(bootcode.Fail(bootcode.SnapshotBucket, "upload to bucket nostromo-etcd: Access Denied."))
	r := &reporter{}
	now := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	m := &master{o: Options{Root: t.TempDir(), Now: func() time.Time { return now }, Report: r}, every: time.Hour}
	m.overdue(now.Add(-2*time.Hour), "")
	if len(r.texts) != 0 {
		t.Errorf("overdue too early: %s", r.texts)
	}
	m.overdue(now.Add(-3*time.Hour), "its etcd does not answer")
	texts[bootcode.SnapshotOverdue] = strings.Join(r.texts, "\n")
	err := Run(t.Context(), Options{Root: "testdata/nowhere"})
	f, ok := errors.AsType[*bootcode.Failure](err)
	if !ok {
		t.Fatal(err)
	}
	f.Why = strings.ReplaceAll(f.Why, "testdata/nowhere", "")
	note(f)
	for _, c := range bootcode.All() {
		if c.Step != step.Snapshot {
			continue
		}
		got := texts[c.Number] + "\n"
		if !strings.Contains(got, fmt.Sprintf(" %d %s in step snapshot: ", c.Number, c.Name)) {
			t.Errorf("code %d was not provoked: %s", c.Number, got)
		}
		testtool.BootCode(t, c, got, *update)
	}
}
