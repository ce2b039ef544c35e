// Package clock is the step that makes sure of the time before certificates are
// used: it waits for the clock to be set, not for longer than a node without time
// servers can afford, and then asks the node's own leaves whether the clock can be
// right. It speaks to no time server: that is the work of the system's own.
package clock

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// Where others say that the clock is set, below the root.
const (
	syncedPath    = "/run/systemd/timesync/synchronized" // made by systemd-timesyncd
	containerPath = "/run/systemd/container"             // made by systemd inside a container
)

// Options are what a run takes from outside; zero values are those of a node.
type Options struct {
	Root   string // "/" when empty
	Report step.Reporter
	// Bound is how long to wait for a clock that is set by somebody; a minute.
	Bound time.Duration
	// Pace is the time between two looks; a second.
	Pace time.Duration
	Now  func() time.Time
	// Kernel tells whether the kernel's clock is kept by a time service.
	Kernel func() bool
}

// Run returns nil when certificates can be used, also when nobody has set the clock
// but it may be right. While it cannot be right, Run says so and keeps looking.
func Run(ctx context.Context, o Options) error {
	o.Root, o.Bound, o.Pace = cmp.Or(o.Root, "/"), cmp.Or(o.Bound, time.Minute), cmp.Or(o.Pace, time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Kernel == nil {
		o.Kernel = kernelSynced
	}
	begun := time.Now() // monotonic: the very clock may jump meanwhile
	for {
		by := o.syncedBy()
		waited := time.Since(begun) >= o.Bound
		if by == "" && !waited {
			o.Report.Waiting(step.Time, "for a time server to set the clock, which says "+stamp(o.Now()))
		}
		if by != "" || waited {
			fault := o.judge()
			switch {
			case fault != nil:
				o.Report.Failed(fault)
			case by != "":
				o.Report.Done(step.Time, "the clock is set ("+by+")")
				return nil
			default:
				o.Report.Failed(bootcode.Fail(bootcode.TimeUnset, "after %s nobody has set the clock, which says %s", o.Bound, stamp(o.Now())))
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(o.Pace):
		}
	}
}

// syncedBy names who keeps the clock, "" when nobody is known to.
func (o Options) syncedBy() string {
	switch {
	case exists(filepath.Join(o.Root, syncedPath)):
		return "systemd-timesyncd"
	case exists(filepath.Join(o.Root, containerPath)):
		return "it is the clock of the host"
	case o.Kernel():
		return "the kernel says so"
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
