package scaleway_test

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"testing"

	"github.com/imgforge/imgforge/internal/scaleway"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
)

// attempt is one kind of run: what is there before it, and how it says what there is.
type attempt struct {
	name   string
	before func(t *testing.T, api *fake.API)
	run    func(context.Context, *scaleway.Runner) error
	exists func(t *testing.T) string
}

func attempts(t *testing.T) []attempt {
	old, i := image(t, "PAYLOAD one"), image(t, "PAYLOAD two")
	i.Keep = 1
	servers := func(t *testing.T) string {
		seen, err := client(t).ObserveAll(t.Context(), shared())
		if err != nil {
			t.Fatal(err)
		}
		return seen.Summary()
	}
	return []attempt{
		{"up", func(*testing.T, *fake.API) {}, func(ctx context.Context, r *scaleway.Runner) error { _, err := r.Up(ctx, shared()); return err }, servers},
		{"down", func(t *testing.T, api *fake.API) { up(t, api, shared()) },
			func(ctx context.Context, r *scaleway.Runner) error {
				_, err := r.Down(ctx, shared(), false)
				return err
			}, servers},
		{"publish", func(t *testing.T, api *fake.API) { publish(t, api, old) },
			func(ctx context.Context, r *scaleway.Runner) error { _, err := r.Publish(ctx, i); return err },
			func(t *testing.T) string {
				var said []string
				seen, _, err := runner(t, &said).PreviewPublish(t.Context(), i)
				if err != nil {
					t.Fatal(err)
				}
				return seen.Summary()
			}},
	}
}

// Every call is refused for good from some time on: who began says what exists then, and
// that is true; who did not begin has changed nothing.
func TestEveryRefusalSaysWhatExists(t *testing.T) {
	for _, a := range attempts(t) {
		stops := 0
		for n, refused := 1, true; refused; n++ {
			api := project(t, 0)
			a.before(t, api)
			before, calls := api.Inventory(), api.Calls()
			api.Fault = func(call int, _ *http.Request) fake.Fault {
				if call-calls >= n {
					return fake.Denied
				}
				return fake.None
			}
			var said []string
			err := a.run(t.Context(), runner(t, &said))
			api.Fault = nil
			refused = err != nil
			stopped, told := errors.AsType[*scaleway.Stopped](err)
			switch {
			case !refused:
			case told:
				stops++
				if want := a.exists(t); settled(stopped.Exists) != settled(want) || stopped.Tag == "" {
					t.Errorf("%s refused at call %d: it says %q, and there is %q", a.name, n, stopped.Exists, want)
				}
			case len(said) > 0:
				t.Errorf("%s refused at call %d: begun, and what exists is not said: %v", a.name, n, err)
			default:
				same(t, api.Inventory(), before)
			}
			check(t, api, "%s refused at call %d", a.name, n)
		}
		if stops < 10 {
			t.Errorf("%s was stopped %d times", a.name, stops)
		}
	}
}

// settled is a summary without what goes on by itself.
func settled(summary string) string {
	return regexp.MustCompile(`\((\d+ running|creating|available)\)`).ReplaceAllString(summary, "")
}
