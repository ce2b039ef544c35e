package clock

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// A clock that is set after the step went on ends its warning; a step that ended well
// is left alone.
func TestClockThatIsSetLate(t *testing.T) {
	c := newClocked(t, within())
	if err := c.run(t.Context(), time.Nanosecond); err != nil || !strings.Contains(c.last(), " 201 ") {
		t.Fatalf("%v, said %q", err, c.lines)
	}
	late := func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c.says = func(string) { cancel() }
		looks := 0
		log := &step.Log{Root: c.root, Stderr: c, Now: time.Now} // that of another process
		err := Late(ctx, Options{Root: c.root, Report: log, Pace: time.Millisecond, Kernel: func() bool { looks++; return looks > 3 }})
		if err != nil {
			t.Error(err)
		}
	}
	late()
	if c.last() != "imgforge: step time done: the clock is set (the kernel says so), which came after the kubelet began" {
		t.Errorf("said %q", c.lines)
	}
	said := len(c.lines)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Late(ctx, Options{Root: c.root, Report: &step.Log{Root: c.root, Stderr: c, Now: time.Now}}); err != nil || len(c.lines) != said {
		t.Errorf("%v, said %q", err, c.lines[said:])
	}
}

// The helper runs before the step gives up waiting: what the step says later ends too.
func TestClockThatIsUnsetLater(t *testing.T) {
	c := newClocked(t, within())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	other := &step.Log{Root: c.root, Stderr: io.Discard, Now: time.Now}
	other.Waiting(step.Time, "for a time server")
	said := time.AfterFunc(20*time.Millisecond, func() { other.Failed(bootcode.Fail(bootcode.TimeUnset, "")) })
	defer said.Stop()
	c.says = func(string) { cancel() }
	log := &step.Log{Root: c.root, Stderr: c, Now: time.Now}
	if err := Late(ctx, Options{Root: c.root, Report: log, Pace: time.Millisecond, Kernel: func() bool { return true }}); err != nil {
		t.Error(err)
	}
	if len(c.lines) != 1 || !strings.HasPrefix(c.last(), "imgforge: step time done: ") {
		t.Errorf("said %q", c.lines)
	}
}
