package scaleway_test

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

// runner is a new process: it remembers nothing.
func runner(t *testing.T, said *[]string) *scaleway.Runner {
	t.Helper()
	client, err := scaleway.NewClient(string(fake.Zone))
	if err != nil {
		t.Fatal(err)
	}
	return &scaleway.Runner{Client: client, Pause: func(ctx context.Context, _ int) error { return ctx.Err() },
		Say: func(line string) { *said = append(*said, line) }}
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
	if _, err := runner(t, &said).Down(t.Context(), c); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(said, "\n"))
	}
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("exists:\n%s\nand not:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
