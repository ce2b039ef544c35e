package pki

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSecondRunSaysWhoHoldsTheStore(t *testing.T) {
	s := made(t, cluster(1, 0), Options{})
	held, err := takeLock(t.Context(), s.Dir(), noon, time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	holder := fmt.Sprintf("process %d on %s, since 2031-05-04T12:00:30Z", os.Getpid(), host)
	var told []string
	s.Patience, s.Waiting = 3*lockPoll, func(h string) { told = append(told, h) }
	before := tree(t, s.Dir())
	_, err = s.Issue(t.Context(), cluster(1, 1))
	want := "store " + s.Dir() + ": the store is in use by " + holder + ": wait until it is done, then run this again; nothing was changed"
	if err == nil || err.Error() != want || !errors.Is(err, errHeld) {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
	if len(told) != 1 || told[0] != holder {
		t.Errorf("told %q", told)
	}
	if d := diff(before, tree(t, s.Dir())); len(d) > 0 {
		t.Errorf("changed: %v", d)
	}
	// Reading needs no lock.
	if _, err := Open(s.Dir(), "nostromo", s.ids); err != nil {
		t.Error(err)
	}
	held.release()
	if _, err := s.Issue(t.Context(), cluster(1, 1)); err != nil {
		t.Error(err)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	s := made(t, cluster(1, 0), Options{})
	held, err := takeLock(t.Context(), s.Dir(), noon, time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer held.release()
	ctx, cancel := context.WithCancel(t.Context())
	s.Patience, s.Waiting = time.Hour, func(string) { cancel() }
	if _, err := s.Issue(ctx, cluster(1, 1)); !errors.Is(err, errHeld) {
		t.Errorf("error %v", err)
	}
}

// Runs at once, each from its own older snapshot, build on each other.
func TestRunsAtOnceDoNotClobberEachOther(t *testing.T) {
	s := made(t, cluster(1, 0), Options{})
	plans := []int{1, 2, 3}
	var wg sync.WaitGroup
	errs := make(chan error, 2*len(plans))
	for _, workers := range plans {
		one, other := reopen(t, s, s.ids), reopen(t, s, s.ids)
		one.Patience, other.Patience = time.Minute, time.Minute
		wg.Go(func() {
			_, err := one.Issue(t.Context(), cluster(1, workers))
			errs <- err
		})
		wg.Go(func() {
			_, err := other.SetSecret(t.Context(), fmt.Sprintf("secret-%d", workers), []byte("value"))
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	last := reopen(t, s, s.ids)
	if _, err := last.Issue(t.Context(), cluster(1, 3)); err != nil { // clears what an earlier plan marked unused
		t.Fatal(err)
	}
	if missing, err := last.Missing(cluster(1, 3)); err != nil || len(missing) > 0 {
		t.Errorf("missing %v, %v", missing, err)
	}
	if got := strings.Join(last.Secrets(), " "); got != "secret-1 secret-2 secret-3" {
		t.Errorf("secrets %s", got)
	}
	state(t, s.Dir(), s.ids)
	nothingLeft(t, s.Dir())
}

// A reader never sees a mixture, though it takes no lock.
func TestReadersWhileWriting(t *testing.T) {
	p := cluster(1, 1)
	s := made(t, p, Options{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 15 {
			if _, err := s.Renew(t.Context(), p, func(Entry) bool { return true }); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for reads := 0; ; reads++ {
		state(t, s.Dir(), s.ids)
		select {
		case <-done:
			if reads == 0 {
				t.Error("nothing was read meanwhile")
			}
			return
		default:
		}
	}
}

func TestTwoInitsAtOnceMakeOneStore(t *testing.T) {
	dir := t.TempDir() + "/store"
	leaf := identities(t)
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		wg.Go(func() { _, _, errs[i] = Init(t.Context(), dir, cluster(1, 0), Options{Identities: leaf}) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("errors %v", errs)
	}
	state(t, dir, leaf)
}
