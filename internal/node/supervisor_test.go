package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
)

// words keeps what a supervisor says.
type words struct {
	mu   sync.Mutex
	said []string
}

func (w *words) Failed(f *bootcode.Failure) { w.add(f.Error()) }
func (w *words) Waiting(step, what string)  { w.add(step + " waits: " + what) }
func (w *words) Done(step, what string)     { w.add(step + " done: " + what) }
func (w *words) add(text string)            { w.mu.Lock(); defer w.mu.Unlock(); w.said = append(w.said, text) }
func (w *words) all() string                { w.mu.Lock(); defer w.mu.Unlock(); return strings.Join(w.said, "\n") }
func (w *words) has(parts ...string) bool {
	all := w.all()
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(all, p) })
}

// failing is a part that ends a few times before it stays, and tells when it does.
func failing(name string, how ...func() error) (part, chan struct{}) {
	stays, starts := make(chan struct{}), 0
	return part{name, func(ctx context.Context) error {
		starts++
		if starts <= len(how) {
			return how[starts-1]()
		}
		close(stays)
		<-ctx.Done()
		return nil
	}}, stays
}

// Whatever ends a part, it is said and the part starts again, and the others go on.
func TestSupervisorKeepsParts(t *testing.T) {
	var nothing map[string]int
	bad, stays := failing("bad",
		func() error { return errors.New("no such door") },
		func() error { nothing["x"] = 1; return nil },
		func() error { return bootcode.Fail(bootcode.EtcdUnable, "no node.json") },
		func() error { return nil })
	good, runs := failing("good")
	ctx, cancel := context.WithCancel(t.Context())
	var w words
	s := supervisor{report: &w, first: time.Millisecond, longest: 10 * time.Millisecond}
	ended := make(chan struct{})
	go func() { s.run(ctx, []part{good, bad}); close(ended) }()
	<-runs
	<-stays
	for !w.has("helper done: bad runs again") { // the test's own time is the bound
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-ended
	if !w.has("helper done: runs good, bad", "bad: no such door", "panic: assignment to entry in nil map at github.com/imgforge/imgforge/internal/node.TestSupervisorKeepsParts",
		"522 etcd-unable", "bad: it returned without an error") {
		t.Errorf("said:\n%s", w.all())
	}
}

// Each that is down is named for as long as it is.
func TestSupervisorNamesAllThatAreDown(t *testing.T) {
	var w words
	s := supervisor{report: &w}
	s.ended("b", errors.New("second"))
	s.ended("a", errors.New("first"))
	if !w.has("why:    a: first\n          b: second\n") {
		t.Errorf("said:\n%s", w.all())
	}
	s.well("b")
	if last := w.said[len(w.said)-1]; strings.Contains(last, "b: ") || !strings.Contains(last, "a: first") {
		t.Errorf("said %s", last)
	}
	s.well("never down")
	s.well("a")
	if last := w.said[len(w.said)-1]; last != "helper done: a runs again" || len(w.said) != 4 {
		t.Errorf("said:\n%s", w.all())
	}
}
