package etcd

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// clocks are those of the other masters, as their answers date themselves. etcd's own
// votes need no clock, but what masters make for each other does: tokens, certificates,
// leases of those who lead. The zero value knows none.
type clocks struct {
	mu    sync.Mutex
	ahead map[string]time.Duration // of this node's clock, by name
	asked bool                     // somebody has answered
}

// clockLeeway is by how much a token may be made in the future for an API server
// (DefaultLeeway of go-jose's jwt, which k8s.io/kubernetes/pkg/serviceaccount uses).
const clockLeeway = time.Minute

// heard notes the date of an answer, which has whole seconds, to a question that was
// asked and answered at two times of this node's own clock.
func (c *clocks) heard(name, date string, asked, answered time.Time) {
	at, err := http.ParseTime(date)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = true
	if c.ahead == nil {
		c.ahead = map[string]time.Duration{}
	}
	// Not by the monotonic clock: this very clock may be set in between.
	asked, answered = asked.Round(0), answered.Round(0)
	switch {
	case at.Before(asked.Add(-time.Second)):
		c.ahead[name] = at.Sub(asked)
	case at.After(answered):
		c.ahead[name] = at.Sub(answered)
	default:
		delete(c.ahead, name)
	}
}

// report says whose clock differs by more than tokens allow, and once that none does
// any more. It says nothing while the step of the clock itself still waits for a time
// server, and would say something else after it.
func (c *clocks) report(root string, to step.Reporter) {
	var last step.Record
	records, _ := step.Read(root) // what cannot be read has not been said
	for _, r := range records {
		if r.Step == step.Time {
			last = r
		}
	}
	if last.State == step.Waiting {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var differ []string
	for _, name := range slices.Sorted(maps.Keys(c.ahead)) {
		d := c.ahead[name]
		if d.Abs() <= clockLeeway {
			continue
		}
		where := "ahead of"
		if d < 0 {
			where = "behind"
		}
		differ = append(differ, fmt.Sprintf("the clock of %s is %s %s this node's", name, d.Abs().Round(time.Minute), where))
	}
	switch {
	case differ != nil:
		to.Failed(bootcode.Fail(bootcode.ClockDiffers, "%s", strings.Join(differ, "\n")))
	case c.asked && last.Code == bootcode.ClockDiffers: // perhaps said by an earlier run
		to.Done(step.Time, "the clock agrees with those of the other masters")
	}
}
