package scaleway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/scaleway"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
)

const payload = "PAYLOAD-WITH-KEYS-OF-"

// small is a cluster with one of everything.
func small() *scaleway.Cluster {
	web := scaleway.Rule{Proto: "TCP", Port: 443, From: netip.MustParsePrefix("0.0.0.0/0")}
	node := func(role string, slot int, disks ...string) scaleway.Node {
		name := role + "-" + string(rune('0'+slot))
		return scaleway.Node{Name: name, Role: role, Slot: slot, Type: "PRO2-XXS", Apart: role == "master", Disks: disks, UserData: []byte(payload + name)}
	}
	return &scaleway.Cluster{
		Name: "nostromo", Zone: string(fake.Zone), Network: "nostromo", Egress: scaleway.EgressPublicIP, Image: fake.Label, RootSize: 20, DataSize: 50,
		Groups: []scaleway.Group{{Role: "master"}, {Role: "proxy", Rules: []scaleway.Rule{web}}},
		Nodes:  []scaleway.Node{node("master", 1, "master-1-data"), node("proxy", 1), node("proxy", 2)},
		Edge:   "proxy",
	}
}

// shared is small without a mesh: the nodes' addresses are the private network's.
func shared() *scaleway.Cluster {
	c := small()
	c.Subnet, c.VIP = netip.MustParsePrefix("192.168.66.0/24"), netip.MustParseAddr("192.168.66.253")
	for i := range c.Nodes {
		c.Nodes[i].Address = netip.AddrFrom4([4]byte{192, 168, 66, byte(11 + i)})
	}
	return c
}

// serve starts a fake and points the SDK's environment at it.
func serve(t *testing.T, api *fake.API) {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	storage := httptest.NewServer(api.ObjectStorage())
	t.Cleanup(storage.Close)
	for name, value := range map[string]string{
		"SCW_API_URL": server.URL, "SCW_S3_URL": storage.URL, "SCW_ACCESS_KEY": fake.AccessKey, "SCW_SECRET_KEY": fake.SecretKey, "SCW_DEFAULT_PROJECT_ID": fake.Project,
		"SCW_CONFIG_PATH": filepath.Join(t.TempDir(), "none.yaml"), "SCW_DEBUG": "true",
	} {
		t.Setenv(name, value)
	}
}

// client talks to the fake that was served last.
func client(t *testing.T) *scaleway.Client {
	t.Helper()
	c, err := scaleway.NewClient(string(fake.Zone))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// runner is a new process: it remembers nothing.
func runner(t *testing.T, said *[]string) *scaleway.Runner {
	t.Helper()
	return process(client(t), said)
}

func process(c *scaleway.Client, said *[]string) *scaleway.Runner {
	return &scaleway.Runner{Client: c, Pause: func(ctx context.Context, _ int) error { return ctx.Err() },
		Say: func(line string) { *said = append(*said, line) }}
}

// Patience and crowd of runs whose calls are not answered: so many wait at once, each so long.
const (
	patience = 500 * time.Millisecond
	crowd    = 32
)

// runs are attempts that go on beside one another, each against a fake of its own.
type runs struct {
	t     *testing.T
	all   sync.WaitGroup
	seats chan bool
}

func newRuns(t *testing.T) *runs { return &runs{t: t, seats: make(chan bool, crowd)} }

// begin serves a fake and begins an attempt with a client that waits for the fault's sake
// no longer than it has to.
func (r *runs) begin(api *fake.API, fault fake.Fault, what string, attempt func(*scaleway.Client) error) {
	r.t.Helper()
	serve(r.t, api)
	c := client(r.t)
	if fault.Silent() {
		c = c.Within(patience)
	}
	r.seats <- true
	r.all.Go(func() {
		defer func() { <-r.seats }()
		if err := attempt(c); err != nil {
			r.t.Errorf("%s: %v", what, err)
		}
	})
}

func (r *runs) wait() { r.all.Wait() }

// killed ends a run at call n, from 1, of those that it makes; false: it has fewer. Killed
// before or after the call had its effect, a run that began something says what exists.
func killed(t *testing.T, api *fake.API, n int, fault fake.Fault, run func(context.Context, *scaleway.Runner) error) bool {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	before := api.Calls()
	api.Fault = func(call int, _ *http.Request) fake.Fault {
		if call-before != n {
			return fake.None
		}
		kill()
		return fault
	}
	defer func() { api.Fault = nil }()
	var said []string
	err := run(ctx, runner(t, &said))
	if _, told := errors.AsType[*scaleway.Stopped](err); err != nil && len(said) > 0 && !told {
		t.Errorf("killed at call %d: begun, and what exists is not said: %v", n, err)
	}
	return err != nil
}

// killings are the two ways to be killed during a call.
func killings() map[string]fake.Fault {
	return map[string]fake.Fault{"before the work": fake.HungUp, "after the work": fake.HungUpAfter}
}

// differs says how what exists is not what should.
func differs(got, want []string) error {
	if slices.Equal(got, want) {
		return nil
	}
	return fmt.Errorf("exists:\n%s\nand not:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
}

// up brings a cluster up against a fake and returns what exists then.
func up(t *testing.T, api *fake.API, c *scaleway.Cluster) []string {
	t.Helper()
	var said []string
	if _, err := runner(t, &said).Up(t.Context(), c); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(said, "\n"))
	}
	for _, line := range said {
		if strings.Contains(line, payload) || strings.Contains(line, fake.SecretKey) {
			t.Errorf("a secret was said: %s", line)
		}
	}
	return api.Inventory()
}

func down(t *testing.T, c *scaleway.Cluster) {
	t.Helper()
	var said []string
	if _, err := runner(t, &said).Down(t.Context(), c, false); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(said, "\n"))
	}
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if err := differs(got, want); err != nil {
		t.Error(err)
	}
}
