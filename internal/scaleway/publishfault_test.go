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

// A run that replaces an image is killed at every call, before or after the call had its
// effect; then it is started anew, or given up.
func TestPublishKilledAnywhere(t *testing.T) {
	before, i := image(t, "PAYLOAD one"), image(t, "PAYLOAD two")
	i.Keep = 1
	clean := *i
	clean.Source, clean.Digest = nil, ""
	publishIt := func(ctx context.Context, r *scaleway.Runner) error { _, err := r.Publish(ctx, i); return err }
	for when, fault := range killings() {
		for n, more := 1, true; more; n++ {
			for _, then := range []*scaleway.Image{i, &clean} {
				api := project(t, n%3)
				publish(t, api, before)
				if more = killed(t, api, n, fault, publishIt); !more {
					break
				}
				got := publish(t, api, then)
				if then == i {
					same(t, got, linesOf(i))
				} else if text := strings.Join(got, "\n"); !whole(text, before) && !whole(text, i) && !whole(text, before, i) {
					t.Errorf("given up, and there is\n%s", text)
				}
				check(t, api, "killed %s at call %d", when, n)
			}
		}
	}
}

// whole tells whether there are these images and nothing else. The provider may have had
// all that it needs for the last before that was given up.
func whole(text string, images ...*scaleway.Image) bool {
	return strings.ReplaceAll(text, " creating ", " available ") == strings.Join(linesOfAll(images...), "\n")
}
