package scaleway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/scaleway"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
)

// Every call of a run goes wrong in every way, one at a time.
func TestEveryCallOfPublishGoesWrong(t *testing.T) {
	before, i := image(t, "PAYLOAD one"), image(t, "PAYLOAD two")
	i.Keep = 1
	clean := shop()
	serve(t, clean)
	publish(t, clean, before)
	calls := clean.Calls()
	publish(t, clean, i)
	calls = clean.Calls() - calls
	for name, fault := range fake.Faults() {
		t.Run(name, func(t *testing.T) {
			all := newRuns(t)
			for n := 1; n <= calls; n++ {
				api := shop()
				all.begin(api, fault, fmt.Sprintf("call %d", n), func(c *scaleway.Client) error { return failPublish(t.Context(), api, c, n, fault, before, i) })
			}
			all.wait()
		})
	}
}

// failPublish publishes one image, and another that takes its place and whose call n goes wrong.
func failPublish(ctx context.Context, api *fake.API, client *scaleway.Client, n int, fault fake.Fault, before, i *scaleway.Image) error {
	var said []string
	if _, err := process(client, &said).Publish(ctx, before); err != nil {
		return err
	}
	first := api.Calls()
	api.Lag = n % 3
	api.Fault = func(call int, _ *http.Request) fake.Fault {
		if call-first == n {
			return fault
		}
		return fake.None
	}
	if _, err := process(client, &said).Publish(ctx, i); err != nil {
		return fmt.Errorf("%w\n%s", err, strings.Join(said, "\n"))
	}
	if m := api.Mistakes(); len(m) > 0 {
		return fmt.Errorf("%v", m)
	}
	return differs(api.Inventory(), linesOf(i))
}

// A run is killed at every call, before or after the call had its effect; then it is
// started anew, or given up.
func TestPublishKilledAnywhere(t *testing.T) {
	i := image(t, "PAYLOAD two")
	clean := *i
	clean.Source, clean.Digest = nil, ""
	for _, fault := range []fake.Fault{fake.HungUp, fake.HungUpAfter} {
		for n, killed := 1, true; killed; n++ {
			for _, then := range []*scaleway.Image{i, &clean} {
				api := shop()
				api.Lag = n % 3
				killed = publishKilled(t, api, i, n, fault)
				if !killed {
					break
				}
				got := publish(t, api, then)
				if then == i {
					same(t, got, linesOfAll(i))
				} else if len(got) > 0 { // the provider had all that it needs before it was given up
					same(t, strings.Split(strings.Replace(strings.Join(got, "\n"), " creating ", " available ", 1), "\n"), linesOfAll(i))
				}
				if t.Failed() {
					t.Fatalf("killed at call %d", n)
				}
			}
		}
	}
}

// publishKilled ends a run at call n; false: it has fewer calls.
func publishKilled(t *testing.T, api *fake.API, i *scaleway.Image, n int, fault fake.Fault) bool {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	api.Fault = func(call int, _ *http.Request) fake.Fault {
		if call != n {
			return fake.None
		}
		kill()
		return fault
	}
	serve(t, api)
	var said []string
	_, err := runner(t, &said).Publish(ctx, i)
	if _, told := errors.AsType[*scaleway.Stopped](err); err != nil && len(said) > 0 && !told {
		t.Errorf("call %d: begun, and what exists is not said: %v", n, err)
	}
	return err != nil
}
