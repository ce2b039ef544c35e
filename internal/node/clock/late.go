package clock

import (
	"cmp"
	"context"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// Late says so when somebody sets the clock after Run went on without, which another
// process may do long after Late began: a warning whose cause is gone must not stay in
// the status. It returns nil when ctx ends.
func Late(ctx context.Context, o Options) error {
	o.Root, o.Pace = cmp.Or(o.Root, "/"), cmp.Or(o.Pace, 10*time.Second)
	if o.Kernel == nil {
		o.Kernel = kernelSynced
	}
	for {
		if o.unset() {
			if by := o.syncedBy(); by != "" {
				o.Report.Done(step.Time, "the clock is set ("+by+"), which came after the kubelet began")
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.Pace):
		}
	}
}

// unset tells whether the step's last word is that nobody has set the clock. What
// cannot be read is no reason to say anything.
func (o Options) unset() bool {
	records, _ := step.Read(o.Root)
	for _, r := range records {
		if r.Step == step.Time {
			return r.Code == bootcode.TimeUnset
		}
	}
	return false
}
