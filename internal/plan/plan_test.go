package plan

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/report"
	"github.com/imgforge/imgforge/internal/spec"
)

var update = flag.Bool("update", false, "write goldens")

// golden compares text with testdata/name, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run the test with -update", err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs; run with -update and read the diff.\n%s", path, firstDifference(string(want), string(got)))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "want " + w[i] + "\ngot  " + g[i]
		}
	}
	return "one is longer"
}

// parse reads a cluster file that must be valid.
func parse(t testing.TB, text string) *spec.Cluster {
	t.Helper()
	c, _, r := spec.Parse("cluster.yaml", []byte(text))
	if err := r.Err(); err != nil {
		t.Fatalf("the test's own cluster file is refused:\n%v", err)
	}
	return c
}

// mustPlan plans a cluster that must plan.
func mustPlan(t testing.TB, c *spec.Cluster, f Facts) *Plan {
	t.Helper()
	p, r := New(c, f)
	if err := r.Err(); err != nil {
		t.Fatalf("refused:\n%v", err)
	}
	return p
}

const nostromo = `
name: nostromo
platform: {provider: scaleway}
endpoint: {address: 192.168.66.253, sans: [k8s.example.org, 198.51.100.9]}
network: {operators: [ana, bob]}
roles:
  master: {count: 3, reserve: 2, reboot: {start: "04:00", length: 1h, days: [Mon, Tue, Wed, Thu]}}
  proxy: {count: 2, publicIP: 51.15.132.63}
  worker: {count: 3, reserve: 8, reboot: {start: "05:00", length: 1h}}
`

// carried is what payloads may see of a plan: everything but the counts, which
// nodes are reserved, and the notes.
func carried(p *Plan) *Plan {
	out := *p
	out.Notes = nil
	out.Roles = slices.Clone(p.Roles)
	for i := range out.Roles {
		out.Roles[i].Count = 0
	}
	out.Nodes = slices.Clone(p.Nodes)
	for i := range out.Nodes {
		out.Nodes[i].Reserved = false
	}
	return &out
}

func TestRaisingACountWithinTheReserveChangesNothingThatPayloadsCarry(t *testing.T) {
	anchors := Facts{Anchors: map[string]Anchor{Master: {Count: 3, Reserve: 2, Founding: 3}, Proxy: {Count: 2, Founding: 2}, Worker: {Count: 3, Reserve: 8, Founding: 3}}}
	before := mustPlan(t, parse(t, nostromo), anchors)
	for name, edit := range map[string]func(*spec.Cluster){
		"one more worker":     func(c *spec.Cluster) { c.Roles.Worker.Count = 4 },
		"the whole reserve":   func(c *spec.Cluster) { c.Roles.Worker.Count = 11 },
		"five masters":        func(c *spec.Cluster) { c.Roles.Master.Count = 5 },
		"a worker less":       func(c *spec.Cluster) { c.Roles.Worker.Count = 2 },
		"moved from reserve":  func(c *spec.Cluster) { c.Roles.Worker.Count, *c.Roles.Worker.Reserve = 5, 6 },
		"masters and workers": func(c *spec.Cluster) { c.Roles.Master.Count, c.Roles.Worker.Count = 5, 7 },
	} {
		c := parse(t, nostromo)
		edit(c)
		after := mustPlan(t, c, anchors)
		if !reflect.DeepEqual(carried(before), carried(after)) {
			t.Errorf("%s: the payloads of other nodes would change:\n%s", name, firstDifference(indented(t, carried(before)), indented(t, carried(after))))
		}
		role, _ := after.Role(Worker)
		if role.Count != c.Roles.Worker.Count {
			t.Errorf("%s: the plan counts %d workers, the file %d", name, role.Count, c.Roles.Worker.Count)
		}
	}
}

// Adding the first node of a role to a master that was alone would move its
// workloads away if the anchor did not hold.
func TestTheFirstWorkerDoesNotTaintALonelyMaster(t *testing.T) {
	text := `{name: solo, platform: {provider: metal}, network: {mesh: none}, roles: {master: {count: 1}, worker: {count: COUNT, reserve: 2}}}`
	anchors := Facts{Anchors: map[string]Anchor{Master: {Count: 1, Founding: 1}, Worker: {Count: 0, Reserve: 2, Founding: 0}}}
	before := mustPlan(t, parse(t, strings.Replace(text, "COUNT", "0", 1)), anchors)
	c := parse(t, strings.Replace(text, "COUNT", "1", 1))
	after := mustPlan(t, c, anchors)
	if !reflect.DeepEqual(carried(before), carried(after)) {
		t.Errorf("the master's payload would change:\n%s", firstDifference(indented(t, carried(before)), indented(t, carried(after))))
	}
}

func TestGrowingBeyondTheReserveIsNoted(t *testing.T) {
	anchors := Facts{Anchors: map[string]Anchor{Worker: {Count: 3, Reserve: 8, Founding: 3}}}
	c := parse(t, nostromo)
	c.Roles.Worker.Count = 12
	p := mustPlan(t, c, anchors)
	if role, _ := p.Role(Worker); role.Slots != 20 {
		t.Errorf("%d slots are planned anew, want 20", role.Slots)
	}
	if text := strings.Join(p.Notes, "\n"); !strings.Contains(text, "no longer fit the 11 slots first issued") || !strings.Contains(text, "all payloads change") {
		t.Errorf("the notes do not say which payloads change:\n%s", text)
	}
}

func TestFoundersAreTheAnchoredMasters(t *testing.T) {
	c := parse(t, nostromo)
	c.Roles.Master.Count = 5
	p := mustPlan(t, c, Facts{Anchors: map[string]Anchor{Master: {Count: 3, Reserve: 2, Founding: 3}}})
	if want := []string{"master-1", "master-2", "master-3"}; !slices.Equal(p.Etcd.Founders, want) {
		t.Errorf("founders %v, want %v", p.Etcd.Founders, want)
	}
}

func TestFoundersOutliveGrowthBeyondTheReserve(t *testing.T) {
	c := parse(t, nostromo)
	c.Roles.Master.Count = 7
	anchor := Anchor{Count: 1, Reserve: 2, Founding: 1}
	p := mustPlan(t, c, Facts{Anchors: map[string]Anchor{Master: anchor}})
	if want := []string{"master-1"}; !slices.Equal(p.Etcd.Founders, want) {
		t.Errorf("founders %v, want %v: a master that joined must never found", p.Etcd.Founders, want)
	}
}

// Etcd's identity follows from its founders.
func TestFewerMastersThanFoundersAreRefused(t *testing.T) {
	facts := Facts{Anchors: map[string]Anchor{Master: {Count: 5, Reserve: 2, Founding: 5}}}
	for founded, severity := range map[bool]report.Severity{true: report.Error, false: report.Warning} {
		c := parse(t, nostromo)
		c.Etcd.Founded = founded
		c.Roles.Master.Count = 3
		_, r := New(c, facts)
		if i := slices.IndexFunc(r.Problems, func(p report.Problem) bool { return p.Path == "roles.master.count" }); i < 0 || r.Problems[i].Severity != severity {
			t.Errorf("founded %t: %v", founded, r.Problems)
		}
		c.Roles.Master.Count = 5
		if _, r := New(c, facts); len(r.Problems) > 0 {
			t.Errorf("founded %t, as many as founders: %v", founded, r.Problems)
		}
	}
}

func indented(t testing.TB, p *Plan) string {
	t.Helper()
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

func TestTheSameFileGivesTheSameBytes(t *testing.T) {
	first := indented(t, mustPlan(t, parse(t, nostromo), Facts{}))
	for range 8 { // map order differs from run to run
		if again := indented(t, mustPlan(t, parse(t, nostromo), Facts{})); again != first {
			t.Fatalf("two plans of one file differ:\n%s", firstDifference(first, again))
		}
	}
}

// refusal changes a valid cluster into one that only derived values can refuse.
type refusal struct {
	edit            func(*spec.Cluster)
	path, text, fix string
}

// taken are names and addresses that two own.
func taken() map[string]refusal {
	return map[string]refusal{

		"VIP on a node": {
			func(c *spec.Cluster) { c.Endpoint.Address = "192.168.66.12" },
			"endpoint.address", "192.168.66.12 is the address of master-2", "such as 192.168.66.254",
		},
		"VIP on a reserved node": {
			func(c *spec.Cluster) { c.Endpoint.Address = "192.168.66.61" },
			"endpoint.address", "address of worker-11", "such as",
		},
		"address of a slot taken by a listed node": {
			func(c *spec.Cluster) { c.Roles.Worker.Nodes = []spec.Node{{Address: "192.168.66.13"}} },
			"roles.worker.nodes[0].address", "192.168.66.13 of worker-1 is already the address of master-3", "leave it out",
		},
		"address of an operator": {
			func(c *spec.Cluster) { c.Roles.Worker.Nodes = []spec.Node{{Address: "192.168.66.252"}} },
			"roles.worker.nodes[0].address", "already the address of operator ana", "",
		},
		"address outside": {
			func(c *spec.Cluster) { c.Roles.Proxy.Nodes = []spec.Node{{Address: "10.0.0.1"}} },
			"roles.proxy.nodes[0].address", "outside network.cidr", "",
		},
		"gateway": {
			func(c *spec.Cluster) { c.Network.Gateway = "192.168.66.31" },
			"roles.proxy", "192.168.66.31 of proxy-1 is already the address of the gateway", "",
		},
		"same name twice": {
			func(c *spec.Cluster) { c.Roles.Worker.Nodes = []spec.Node{{Name: "proxy-2"}} },
			"roles.worker.nodes[0].name", `"proxy-2" is already the name`, "",
		},
		"same name in the mesh": {
			func(c *spec.Cluster) { c.Network.Operators = []string{"worker_1"} },
			"network.operators[0]", "a hyphen becomes an underscore", "",
		},
		"more nodes than slots": {
			func(c *spec.Cluster) { c.Roles.Proxy.Nodes = make([]spec.Node, 3) },
			"roles.proxy.nodes[2]", "3 nodes are listed and the role has 2 slots", "remove the last 1",
		},
	}
}

// full are networks, layers and windows that do not hold what is asked of them.
func full() map[string]refusal {
	return map[string]refusal{
		"too many workers": {
			func(c *spec.Cluster) { c.Roles.Worker.Count, c.Roles.Worker.Reboot = 300, nil },
			"network.cidr", "has addresses for 187 worker slots and 308 are needed", "write a /23, such as 192.168.66.0/23",
		},
		"too many proxies": {
			func(c *spec.Cluster) { c.Roles.Proxy.Count = 21 },
			"network.cidr", "has addresses for 20 proxy slots", "/23",
		},
		"too many operators": {
			func(c *spec.Cluster) {
				c.Network.Operators = slices.Collect(func(yield func(string) bool) {
					for b := byte('a'); b < 'z' && yield("op"+string(b)); b++ {
					}
				})
			},
			"network.operators[15]", "addresses for 15 operators", "shorter prefix",
		},
		"no hub": {
			func(c *spec.Cluster) { c.Platform.Provider, c.Platform.PrivateDomain = "metal", "" },
			"roles.master.nodes", "no master has an endpoint", "roles.master.nodes[0].endpoint",
		},
		"MTU": {
			func(c *spec.Cluster) { c.Network.UnderlayMTU = 1400 },
			"network.underlayMTU", "1400 leaves 1252 bytes for pods", "at least 1428",
		},
		"window": {
			func(c *spec.Cluster) { c.Roles.Master.Reboot.Length = "20m" },
			"roles.master.reboot.length", "5 slots", "at least 30m, or give it 5 days",
		},
		"minor": {
			func(c *spec.Cluster) { c.Kubernetes.Version = "1.33.1" },
			"kubernetes.version", "no minor that this imgforge knows", "1.34, 1.35, 1.36",
		},
	}
}

func TestRefusals(t *testing.T) {
	cases := taken()
	maps.Copy(cases, full())
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := parse(t, nostromo)
			tc.edit(c)
			_, r := New(c, Facts{})
			i := slices.IndexFunc(r.Problems, func(p report.Problem) bool { return p.Path == tc.path })
			if i < 0 {
				t.Fatalf("no problem at %s:\n%v", tc.path, r.Err())
			}
			p := r.Problems[i]
			if !strings.Contains(p.Message, tc.text) || !strings.Contains(p.Fix, tc.fix) || p.Fix == "" {
				t.Errorf("got %q; %q", p.Message, p.Fix)
			}
			if len(r.Problems) > 1 {
				t.Errorf("one mistake gives %d problems:\n%v", len(r.Problems), r.Err())
			}
		})
	}
}

func TestEverySecretOfTheFileIsAskedForOnce(t *testing.T) {
	c := parse(t, nostromo)
	c.Registries = []spec.Registry{{Host: "a.example.org", PasswordRef: "robot"}, {Host: "b.example.org", PasswordRef: "robot"}}
	for _, tc := range []struct {
		secrets  []string
		problems int
	}{{nil, 0}, {[]string{"robot"}, 0}, {[]string{}, 2}, {[]string{"other"}, 2}} {
		p, r := New(c, Facts{Secrets: tc.secrets})
		if len(r.Problems) != tc.problems {
			t.Errorf("with secrets %v: %v", tc.secrets, r.Err())
		}
		if tc.problems > 0 && !strings.Contains(r.Problems[0].Fix, "imgforge secret set robot") {
			t.Errorf("the problem does not say what to run: %s", r.Problems[0])
		}
		if n := len(slices.DeleteFunc(slices.Clone(p.Keys), func(k Key) bool { return k.ID != "user/robot" })); n != 1 {
			t.Errorf("user/robot is planned %d times", n)
		}
	}
}
