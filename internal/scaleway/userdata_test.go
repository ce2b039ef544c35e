package scaleway_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/scaleway"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
)

// User-data of a node that has been Ready since its server was made goes, and no other:
// not of one that was Ready as an earlier server of that name, nor of one that is not.
func TestUserDataGoesOnceReady(t *testing.T) {
	settled := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	c := shared()
	c.Ready = map[string]time.Time{"proxy-1": settled, "master-1": settled.AddDate(-1, 0, 0), "worker-9": settled}
	api := fake.New()
	serve(t, api)
	up(t, api, shared())
	calls := api.Calls()
	var said []string
	if _, err := runner(t, &said).Up(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	calls = api.Calls() - calls
	same(t, said, []string{"delete user-data of proxy-1 (its node is Ready)"})
	for name, stays := range map[string]bool{"proxy-1": false, "proxy-2": true, "master-1": true} {
		if got := api.UserData(name) != nil; got != stays {
			t.Errorf("%s has user-data: %v", name, got)
		}
	}
	want := api.Inventory()
	for name, fault := range fake.Faults() {
		all := newRuns(t)
		for n := 1; n <= calls; n++ {
			api := fake.New()
			all.begin(api, fault, fmt.Sprintf("%s at call %d", name, n), func(client *scaleway.Client) error {
				var said []string
				if _, err := process(client, &said).Up(t.Context(), shared()); err != nil {
					return err
				}
				first := api.Calls()
				api.Fault = func(call int, _ *http.Request) fake.Fault {
					if call-first == n {
						return fault
					}
					return fake.None
				}
				if _, err := process(client, &said).Up(t.Context(), c); err != nil {
					return err
				}
				return differs(api.Inventory(), want)
			})
		}
		all.wait()
	}
}
