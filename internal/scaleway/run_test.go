package scaleway_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/scaleway"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
)

func TestUp(t *testing.T) {
	api := fake.New()
	serve(t, api)
	same(t, up(t, api, small()), []string{
		"booked true imgforge.cluster=nostromo imgforge.role=master imgforge.slot=1 imgforge.node=master-1",
		"booked true imgforge.cluster=nostromo imgforge.role=proxy imgforge.slot=1 imgforge.node=proxy-1",
		"booked true imgforge.cluster=nostromo imgforge.role=proxy imgforge.slot=2 imgforge.node=proxy-2",
		"group nostromo-master in:drop rules:0 imgforge.cluster=nostromo imgforge.role=master",
		"group nostromo-proxy in:drop rules:1 imgforge.cluster=nostromo imgforge.role=proxy",
		"ip 203.0.113.10 at proxy-1 imgforge.cluster=nostromo imgforge.role=proxy imgforge.use=edge",
		"network nostromo 172.16.4.0/22 imgforge.cluster=nostromo",
		"placement nostromo-apart enforced max_availability",
		"server master-1 PRO2-XXS running nics:1 volumes:2 apart:true userdata:true dynamicIP:true imgforge.cluster=nostromo imgforge.role=master imgforge.slot=1 imgforge.node=master-1",
		"server proxy-1 PRO2-XXS running nics:1 volumes:1 apart:false userdata:true dynamicIP:true imgforge.cluster=nostromo imgforge.role=proxy imgforge.slot=1 imgforge.node=proxy-1",
		"server proxy-2 PRO2-XXS running nics:1 volumes:1 apart:false userdata:true dynamicIP:true imgforge.cluster=nostromo imgforge.role=proxy imgforge.slot=2 imgforge.node=proxy-2",
		"volume master-1-data attached:1 imgforge.cluster=nostromo imgforge.role=master imgforge.slot=1 imgforge.node=master-1",
		"volume master-1-root attached:1 imgforge.cluster=nostromo imgforge.role=master imgforge.node=master-1",
		"volume proxy-1-root attached:1 imgforge.cluster=nostromo imgforge.role=proxy imgforge.node=proxy-1",
		"volume proxy-2-root attached:1 imgforge.cluster=nostromo imgforge.role=proxy imgforge.node=proxy-2",
	})
	if got := string(api.UserData("proxy-2")); got != payload+"proxy-2" {
		t.Errorf("proxy-2 boots %q", got)
	}
	if m := api.Mistakes(); len(m) > 0 {
		t.Error(m)
	}
}

// The list that is shown before is the list that is carried out, upwards and downwards.
func TestSaysWhatItWillDo(t *testing.T) {
	for name, cluster := range map[string]*scaleway.Cluster{"mesh": small(), "shared": shared()} {
		api := fake.New()
		serve(t, api)
		var said []string
		r := runner(t, &said)
		_, changes, err := r.PreviewUp(t.Context(), cluster)
		if err != nil {
			t.Fatal(err)
		}
		shown := words(changes)
		calls := api.Calls()
		if _, err := r.Up(t.Context(), cluster); err != nil {
			t.Fatal(err)
		}
		for i := range said { // the address is known once it was made
			said[i] = strings.ReplaceAll(said[i], " (203.0.113.10)", "")
		}
		t.Logf("%s: %d changes, %d calls", name, len(changes), api.Calls()-calls)
		same(t, said, shown)

		said = nil
		if _, changes, err = r.PreviewDown(t.Context(), cluster, false); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Down(t.Context(), cluster, false); err != nil {
			t.Fatal(err)
		}
		same(t, said, words(changes))
	}
}

// words are changes as they are shown.
func words(changes []scaleway.Change) (out []string) {
	for _, c := range changes {
		out = append(out, c.String())
	}
	return out
}

// What was made a moment ago and shows late, or after calls that went wrong, is in the
// list of what goes: else a removal would end before it began.
func TestPreviewsSeeWhatShowsLate(t *testing.T) {
	for name, fault := range fake.Faults() {
		if fault.Silent() {
			continue
		}
		for n := 1; n <= 10; n++ {
			api := project(t, 2)
			killed(t, api, 30, fake.HungUpAfter, func(ctx context.Context, r *scaleway.Runner) error { _, err := r.Up(ctx, shared()); return err })
			before := api.Calls()
			api.Fault = func(call int, _ *http.Request) fake.Fault {
				if call-before == n {
					return fault
				}
				return fake.None
			}
			var said []string
			_, changes, err := runner(t, &said).PreviewDown(t.Context(), shared(), false)
			if err != nil {
				t.Fatalf("%s at call %d: %v", name, n, err)
			}
			api.Fault = nil
			if _, err := runner(t, &said).Down(t.Context(), shared(), false); err != nil {
				t.Fatal(err)
			}
			same(t, said, words(changes))
			same(t, api.Inventory(), nil)
		}
	}
}

func TestAgainChangesNothing(t *testing.T) {
	api := fake.New()
	serve(t, api)
	before := up(t, api, shared())
	var said []string
	if _, err := runner(t, &said).Up(t.Context(), shared()); err != nil {
		t.Fatal(err)
	}
	same(t, said, nil)
	same(t, api.Inventory(), before)
}

func TestOneMore(t *testing.T) {
	api := fake.New()
	serve(t, api)
	before := up(t, api, shared())
	old, written := api.IDs(), []string{}
	api.Fault = func(_ int, r *http.Request) fake.Fault {
		if r.Method != http.MethodGet {
			written = append(written, r.Method+" "+r.URL.Path)
		}
		return fake.None
	}
	after := up(t, api, oneMore())
	for _, line := range before {
		if !slices.Contains(after, line) {
			t.Errorf("changed: %s", line)
		}
	}
	if len(after) != len(before)+3 { // address, server, root volume
		t.Errorf("%d objects became %d", len(before), len(after))
	}
	if got := string(api.UserData("proxy-1")); got != payload+"proxy-1" {
		t.Errorf("the user-data of a running server became %q", got)
	}
	// Nothing that was there is so much as written to.
	for _, call := range written {
		if slices.ContainsFunc(old, func(id string) bool { return strings.Contains(call, id) }) {
			t.Errorf("written to: %s", call)
		}
	}
	if len(written) < 5 {
		t.Errorf("the calls that made a server: %q", written)
	}
}

// oneMore is shared with a third proxy, and all payloads made anew.
func oneMore() *scaleway.Cluster {
	c := shared()
	more := c.Nodes[2]
	more.Name, more.Slot, more.Address, more.UserData = "proxy-3", 3, c.Nodes[2].Address.Next(), []byte("new")
	c.Nodes = append(c.Nodes, more)
	for i := range c.Nodes { // what running servers boot from is not touched
		c.Nodes[i].UserData = append([]byte("renewed "), c.Nodes[i].UserData...)
	}
	return c
}

// Other people's objects stay, and other clusters', with names that begin like this one's
// or with which it begins, more than a page of each kind, whatever listings show.
func TestDownTakesOnlyItsOwn(t *testing.T) {
	for _, lax := range []bool{false, true} {
		api := shop()
		api.Lax = lax
		serve(t, api)
		api.Reserve()
		api.Stranger("master-1")
		api.Bucket("mine", string(fake.Region), map[string][]byte{"photo": []byte("x")})
		for _, name := range []string{"sulaco", "nostromo-2", "nostro", "nostromo2"} {
			other := small()
			other.Name, other.Network = name, name
			up(t, api, other)
			i := image(t, "PAYLOAD "+name)
			i.Cluster = name
			publish(t, api, i)
		}
		before := api.Inventory()
		up(t, api, shared())
		publish(t, api, image(t, "PAYLOAD mine"))
		if len(api.Inventory()) <= len(before)+10 {
			t.Error("nothing was made")
		}
		down(t, shared())
		same(t, api.Inventory(), before)
	}
}

// How servers get out is what is asked for: by an address of their own, by the private
// network's default route, or not at all.
func TestEgress(t *testing.T) {
	for egress, want := range map[string][2]string{
		scaleway.EgressPublicIP: {"network nostromo 172.16.4.0/22 ", "dynamicIP:true"},
		scaleway.EgressGateway:  {"network nostromo 172.16.4.0/22 default route ", "dynamicIP:false"},
		scaleway.EgressNone:     {"network nostromo 172.16.4.0/22 ", "dynamicIP:false"},
	} {
		api := fake.New()
		serve(t, api)
		c := small()
		c.Egress = egress
		networks, servers := 0, 0
		for _, line := range up(t, api, c) {
			if strings.HasPrefix(line, want[0]+"imgforge.cluster") {
				networks++
			}
			if strings.HasPrefix(line, "server ") && strings.Contains(line, want[1]) {
				servers++
			}
		}
		if networks != 1 || servers != 3 {
			t.Errorf("%s: %d networks and %d servers are as they should be", egress, networks, servers)
		}
	}
}

// Published images go too, unless they are to be kept or somebody else's server was made
// from them; another cluster's stay.
func TestDownTakesImages(t *testing.T) {
	api := shop()
	serve(t, api)
	mine, used, other := image(t, "PAYLOAD one"), image(t, "PAYLOAD two"), image(t, "PAYLOAD three")
	other.Cluster = "sulaco"
	for _, i := range []*scaleway.Image{mine, used, other} {
		publish(t, api, i)
	}
	before := api.Inventory()
	up(t, api, shared())
	var said []string
	if _, err := runner(t, &said).Down(t.Context(), shared(), true); err != nil {
		t.Fatal(err)
	}
	same(t, api.Inventory(), before)
	api.BootFrom("bastion", nameOf(used))
	before = api.Inventory()
	seen, err := runner(t, &said).Down(t.Context(), shared(), false)
	if err != nil || !slices.Equal(scaleway.Booted(seen), []string{nameOf(used)}) {
		t.Errorf("%v %v", seen, err)
	}
	gone := linesOf(mine)
	same(t, api.Inventory(), slices.DeleteFunc(before, func(line string) bool { return slices.Contains(gone, line) }))
	if m := api.Mistakes(); len(m) > 0 {
		t.Error(m)
	}
}

// A server that somebody deleted is made anew, around what it left.
func TestReplace(t *testing.T) {
	api := fake.New()
	serve(t, api)
	before := up(t, api, shared())
	api.Lose("master-1")
	after := up(t, api, shared())
	left := "volume master-1-root attached:0 imgforge.cluster=nostromo imgforge.role=master imgforge.node=master-1"
	want := append(slices.Clone(before), left)
	slices.Sort(want)
	same(t, after, want)
	down(t, shared())
	same(t, api.Inventory(), nil)
}

// project is an empty one whose listings lag.
func project(t *testing.T, lag int) *fake.API {
	t.Helper()
	api := shop()
	api.Lag = lag
	serve(t, api)
	return api
}

// check ends a test that has gone wrong, or whose project saw what nobody wants.
func check(t *testing.T, api *fake.API, format string, args ...any) {
	t.Helper()
	if m := api.Mistakes(); len(m) > 0 || t.Failed() {
		t.Fatalf(format+": %v", append(args, m)...)
	}
}
