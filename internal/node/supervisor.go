package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// part is one of the things that a node does for as long as it runs. It returns nil
// when ctx ends, and an error when it cannot go on.
type part struct {
	name string
	run  func(ctx context.Context) error
}

// supervisor keeps parts running: one that ends is reported and started again, and
// none takes the others along.
type supervisor struct {
	report step.Reporter
	// A part is started again after first; each time it ends soon, the pause is twice
	// as long, up to longest. Once it has run for longest, it counts as well again.
	first, longest time.Duration

	mu   sync.Mutex
	down map[string]string // why, by part, of those that are not well again
}

// run returns when ctx has ended and every part with it.
func (s *supervisor) run(ctx context.Context, parts []part) {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	s.report.Done(step.Helper, "runs "+strings.Join(names, ", "))
	var wg sync.WaitGroup
	for _, p := range parts {
		wg.Go(func() { s.keep(ctx, p) })
	}
	wg.Wait()
}

func (s *supervisor) keep(ctx context.Context, p part) {
	for pause := s.first; ; pause = min(2*pause, s.longest) {
		began := time.Now()
		well := time.AfterFunc(s.longest, func() { s.well(p.name) })
		err := once(ctx, p)
		well.Stop()
		if ctx.Err() != nil {
			return
		}
		s.ended(p.name, err)
		if time.Since(began) > s.longest {
			pause = s.first
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// ended reports the end of a part: by its own code if it has one.
func (s *supervisor) ended(name string, err error) {
	if f, ok := errors.AsType[*bootcode.Failure](err); ok {
		s.report.Failed(f)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down == nil {
		s.down = map[string]string{}
	}
	s.down[name] = err.Error()
	s.report.Failed(bootcode.Fail(bootcode.PartEnded, "%s", s.why()))
}

// well takes a part that keeps running off the list of those that ended.
func (s *supervisor) well(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, was := s.down[name]; !was {
		return
	}
	delete(s.down, name)
	if len(s.down) == 0 {
		s.report.Done(step.Helper, name+" runs again")
		return
	}
	s.report.Failed(bootcode.Fail(bootcode.PartEnded, "%s", s.why()))
}

func (s *supervisor) why() string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(s.down)) {
		lines = append(lines, name+": "+s.down[name])
	}
	return strings.Join(lines, "\n")
}

// once runs a part until it ends, and makes an error of whatever ended it.
func once(ctx context.Context, p part) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v at %s", r, culprit())
		}
	}()
	return cmp.Or(p.run(ctx), errors.New("it returned without an error"))
}

// culprit is the line that a panic which is being recovered came from.
func culprit() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])]) // not Callers, culprit and the recovering function
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", f.Function, f.Line)
		}
		if !more {
			return "an unknown line"
		}
	}
}
