package scaleway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/scaleway"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
)

// Every call of a run goes wrong in every way, one at a time.
func TestEveryCallGoesWrong(t *testing.T) {
	clean, published := shop(), image(t, "PAYLOAD one")
	serve(t, clean)
	publish(t, clean, published)
	before := clean.Calls()
	want := up(t, clean, shared())
	ups := clean.Calls()
	down(t, shared())
	downs := clean.Calls() - ups
	ups -= before
	for name, fault := range fake.Faults() {
		t.Run(name, func(t *testing.T) {
			all := newRuns(t)
			for n := 1; n <= max(ups, downs); n++ {
				api := shop()
				all.begin(api, fault, fmt.Sprintf("call %d", n), func(c *scaleway.Client) error { return failOne(t.Context(), api, c, n, fault, published, want) })
			}
			all.wait()
		})
	}
}

// failOne lets call n of up go wrong, and call n of down, which takes the published image too.
func failOne(ctx context.Context, api *fake.API, client *scaleway.Client, n int, fault fake.Fault, published *scaleway.Image, want []string) error {
	var said []string
	if _, err := process(client, &said).Publish(ctx, published); err != nil {
		return err
	}
	api.Lag = n % 3
	first := api.Calls()
	api.Fault = func(call int, _ *http.Request) fake.Fault {
		if call-first == n {
			return fault
		}
		return fake.None
	}
	if _, err := process(client, &said).Up(ctx, shared()); err != nil {
		return fmt.Errorf("%w\n%s", err, strings.Join(said, "\n"))
	}
	if m := api.Mistakes(); len(m) > 0 {
		return fmt.Errorf("up: %v", m)
	}
	if err := differs(api.Inventory(), want); err != nil {
		return fmt.Errorf("up: %w", err)
	}
	first = api.Calls()
	if _, err := process(client, &said).Down(ctx, shared(), false); err != nil {
		return fmt.Errorf("%w\n%s", err, strings.Join(said, "\n"))
	}
	return differs(api.Inventory(), nil)
}

// A run is killed at every call, before or after the call had its effect, and started
// anew, or everything is removed instead; a removal is killed at every call as well.
func TestKilledAnywhere(t *testing.T) {
	clean := fake.New()
	serve(t, clean)
	want := up(t, clean, shared())
	goUp := func(ctx context.Context, r *scaleway.Runner) error { _, err := r.Up(ctx, shared()); return err }
	goDown := func(ctx context.Context, r *scaleway.Runner) error {
		_, err := r.Down(ctx, shared(), false)
		return err
	}
	for when, fault := range killings() {
		for n, more := 1, true; more; n++ {
			api := project(t, n%3)
			if more = killed(t, api, n, fault, goUp); more {
				same(t, up(t, api, shared()), want)
				half := project(t, n%3)
				killed(t, half, n, fault, goUp)
				down(t, shared())
				same(t, half.Inventory(), nil)
			}
			check(t, api, "up was killed %s at call %d", when, n)
		}
		for n, more := 1, true; more; n++ {
			api := project(t, n%3)
			up(t, api, shared())
			if more = killed(t, api, n, fault, goDown); more {
				down(t, shared())
			}
			same(t, api.Inventory(), nil)
			check(t, api, "down was killed %s at call %d", when, n)
		}
	}
}

// One server more, while calls are done and not answered well, and killed at every call:
// the others stay as they are.
func TestOneMoreThroughFaults(t *testing.T) {
	more := oneMore()
	clean := fake.New()
	serve(t, clean)
	before := up(t, clean, shared())
	calls := clean.Calls()
	want := up(t, clean, more)
	calls = clean.Calls() - calls
	for name, fault := range map[string]fake.Fault{"500 after the work": fake.BrokenAfter, "half-written answer": fake.HalfWritten} {
		all := newRuns(t)
		for n := 1; n <= calls; n++ {
			api := fake.New()
			all.begin(api, fault, fmt.Sprintf("%s at call %d", name, n), func(c *scaleway.Client) error {
				return grow(t.Context(), api, c, n, fault, more, want)
			})
		}
		all.wait()
	}
	for n, ended := 1, true; ended; n++ {
		api := project(t, n%3)
		same(t, up(t, api, shared()), before)
		ended = killed(t, api, n, fake.HungUpAfter, func(ctx context.Context, r *scaleway.Runner) error { _, err := r.Up(ctx, more); return err })
		same(t, up(t, api, more), want)
		check(t, api, "killed at call %d", n)
	}
}

// grow brings a cluster up, and then one more server, of whose calls one goes wrong.
func grow(ctx context.Context, api *fake.API, c *scaleway.Client, n int, fault fake.Fault, more *scaleway.Cluster, want []string) error {
	var said []string
	if _, err := process(c, &said).Up(ctx, shared()); err != nil {
		return err
	}
	api.Lag = n % 3
	first := api.Calls()
	api.Fault = func(call int, _ *http.Request) fake.Fault {
		if call-first == n {
			return fault
		}
		return fake.None
	}
	if _, err := process(c, &said).Up(ctx, more); err != nil {
		return fmt.Errorf("%w\n%s", err, strings.Join(said, "\n"))
	}
	return differs(api.Inventory(), want)
}
