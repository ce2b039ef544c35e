package lab

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// The table names every row once, has one of each class in the short table of each
// topology, and happens to what the plan has.
func TestFaultRows(t *testing.T) {
	for _, topology := range FaultTopologies() {
		rows, err := topology.Faults()
		if err != nil {
			t.Fatal(err)
		}
		names, short := map[string]bool{}, map[string]bool{}
		for _, f := range rows {
			if names[f.Name] {
				t.Errorf("%s has two rows %q", topology.Name, f.Name)
			}
			if f.Class == "" || f.Do == nil && topology.Row == nil {
				t.Errorf("%s: %q has no class, or nothing to do", topology.Name, f.Name)
			}
			names[f.Name] = true
			short[f.Class] = short[f.Class] || f.Short
		}
		for class, has := range short {
			if !has {
				t.Errorf("%s: no row of %q is in the short table", topology.Name, class)
			}
		}
		if topology.Row != nil {
			continue
		}
		for _, want := range []string{"kill -9 etcd on master-3", "kill -9 kubelet on worker-2", "cut the power of worker-1",
			"part all nodes from each other", "power for master-2, then master-3, then master-1, 20s apart"} {
			if !names[want] {
				t.Errorf("%s has no row %q", topology.Name, want)
			}
		}
	}
}

func TestOrders(t *testing.T) {
	var got []string
	for _, o := range orders([]string{"a", "b", "c"}) {
		got = append(got, strings.Join(o, ""))
	}
	if want := []string{"abc", "acb", "bac", "bca", "cab", "cba"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What a command line may choose, and what it is told.
func TestFaultOptions(t *testing.T) {
	all := FaultTopologies()
	for _, tc := range []struct {
		patterns []string
		on       []Topology
		says     string
	}{
		{nil, all, ""},
		{[]string{"kill -9 keepalived on master-?"}, all, ""}, // one of the topologies has them
		{[]string{"kill -9 keepalived on master-?"}, all[1:2], "matches no row"},
		{[]string{classPower}, all, ""},
		{[]string{"[", "x"}, all, "syntax error"},
		{nil, []Topology{cloudInit()}, "faults are shown on [tinc-vip wireguard-local vm-clock], not on cloud-init"},
	} {
		err := FaultOptions{Patterns: tc.patterns}.Check(tc.on)
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%q: %v, want %q", tc.patterns, err, tc.says)
		}
	}
	f := Fault{Class: "c", Name: "n", Short: false}
	if (FaultOptions{}).wants(f) || !(FaultOptions{Full: true}).wants(f) || !(FaultOptions{Patterns: []string{"?"}}).wants(f) {
		t.Error("the choice of a row that is not short is wrong")
	}
}

// A report is continued by rows of the very same clean commit and machine, and a row
// that is shown again takes the place of the old one.
func TestFaultsResume(t *testing.T) {
	earlier := &Report{Commit: "abc", Seconds: 9, Topologies: []*Outcome{{Topology: "t", Error: "interrupted", Faults: []*FaultRow{{Name: "b"}, {Name: "c"}}}, {Topology: "none"}}}
	data, err := json.Marshal(earlier)
	if err != nil {
		t.Fatal(err)
	}
	for commit, rows := range map[string]int{"abc": 2, "abd": 0, "abc+": 0, "unknown": 0, "": 0} {
		var read Report
		if err := json.Unmarshal(data, &read); err != nil {
			t.Fatal(err)
		}
		if commit != "abd" {
			read.Commit = commit
		}
		r := &Report{Commit: commit}
		r.Resume(&read, false)
		o := r.OutcomeOf(Topology{Name: "t"})
		if len(o.Faults) != rows || o.Error != "" || len(r.Topologies) != 1 {
			t.Errorf("%q: %d rows of %d topologies, %q", commit, len(o.Faults), len(r.Topologies), o.Error)
		}
	}
	for commit, rows := range map[string]int{"abd": 2, "abd+": 0} {
		var read Report
		if err := json.Unmarshal(data, &read); err != nil {
			t.Fatal(err)
		}
		r := &Report{Commit: commit}
		r.Resume(&read, true)
		if o := r.OutcomeOf(Topology{Name: "t"}); len(o.Faults) != rows {
			t.Errorf("%q: %d rows of another commit, want %d", commit, len(o.Faults), rows)
		}
	}
	o := earlier.Topologies[0]
	o.keep(&FaultRow{Name: "a"}, []Fault{{Name: "a"}, {Name: "b"}, {Name: "c"}})
	o.keep(&FaultRow{Name: "b", Passed: true}, []Fault{{Name: "a"}, {Name: "b"}, {Name: "c"}})
	var names []string
	for _, f := range o.Faults {
		names = append(names, f.Name)
	}
	if strings.Join(names, "") != "abc" || !o.row("b").Passed {
		t.Errorf("rows are %v, b %v", names, o.row("b"))
	}
}

// A row that cannot be shown says why before anything is booted, and no cluster is
// booted for such rows alone.
func TestFaultsUnable(t *testing.T) {
	saved := 0
	out := &Outcome{}
	all := []Fault{{Class: "c", Name: "can", Do: func(context.Context, *bout) (string, error) { return "", nil }},
		{Class: "c", Name: "cannot", Short: true, Unable: func(t *Trial) string { return "no " + t.Plan.Cluster }}}
	s := &series{commit: "abc", out: out, all: all, rest: slices.Clone(all), save: func() error { saved++; return nil }}
	if err := s.unable(&Trial{Plan: &plan.Plan{Cluster: "sun"}}); err != nil {
		t.Fatal(err)
	}
	if len(s.rest) != 1 || s.rest[0].Name != "can" || saved == 0 {
		t.Errorf("left are %v, saved %d times", s.rest, saved)
	}
	if r := out.row("cannot"); r == nil || r.Unable != "no sun" || r.Commit != "abc" || !r.Short || out.failedRows() != nil {
		t.Errorf("the row is %+v", r)
	}
}

// Moves of an address: who had it first after the begin, and for how long two had it.
func TestAddressMoves(t *testing.T) {
	begun := time.Unix(100, 0)
	at := func(seconds float64, holders ...string) sighting {
		return sighting{begun.Add(time.Duration(seconds * float64(time.Second))), holders}
	}
	for _, tc := range []struct {
		name string
		seen []sighting
		want []Measure
	}{
		{"stays", []sighting{at(-1, "a")}, nil},
		{"moves at once", []sighting{at(-1, "a"), at(0.5), at(1.5, "b")}, []Measure{{"it moved from a to b", 1.5, 3}, {"it at no node", 1, 0}}},
		{"comes back", []sighting{at(-1, "a"), at(1), at(1.5, "a")}, []Measure{{"it at no node", 0.5, 0}}},
		{"two have it", []sighting{at(-1, "a"), at(2, "a", "b"), at(6, "b")}, []Measure{{"it moved from a to b", 2, 3}, {"it at more than one node", 4, 0}}},
		{"moved before", []sighting{at(-2, "a"), at(-1, "b")}, nil},
	} {
		if got := movesOf("it", tc.seen, begun); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// What ps prints is read as programs, whatever folder they are in.
func TestProcesses(t *testing.T) {
	const out = "    1 /usr/lib/systemd/systemd\n   12 etcd --name=a\n   13 /usr/local/bin/etcd\n   14 etcdctl get\n   15 sh -c etcd\n   16 haproxy: master\n"
	if got := pidsOf(out, "etcd"); !slices.Equal(got, []int{12, 13}) {
		t.Errorf("etcd is %v", got)
	}
	if got := pidsOf(out, "haproxy"); !slices.Equal(got, []int{16}) {
		t.Errorf("haproxy is %v", got)
	}
}

// The table for people is a golden text.
func TestFaultsMarkdown(t *testing.T) {
	r := &Report{Commit: "0123456789ab", Seconds: 321, Host: Host{Cores: 2, MemoryMiB: 24000, Kernel: "6.1.0", Cgroups: "v1", System: "Debian"},
		Topologies: []*Outcome{{Topology: "two", About: "2 nodes", Faults: []*FaultRow{
			{Class: "kill", Name: "kill a", Short: true, Passed: true, Evidence: "a | was\nkilled", Acknowledged: 40, During: 30,
				Interruptions: []Measure{{readsThrough, 0.44, aimAnswer}, {writesThrough, 6, aimAnswer}, {writesOutside, 1, 0}},
				Measures:      []Measure{{wayBack, 12.34, 0}, {"address moved from a to b", 3.1, aimMove}}},
			{Class: "kill", Name: "kill b", Error: "lost", Lost: 2, During: 3},
			{Class: "clock", Name: "an hour ahead", Unable: "one clock for all"},
		}}, {Topology: "empty"}, {Topology: "ended", About: "3 nodes", Error: "no power", Faults: []*FaultRow{{Class: "c", Name: "n", Passed: true}}}}}
	var b strings.Builder
	if err := r.FaultsMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "faults.md")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || b.String() != string(want) {
		t.Errorf("%v; the table differs from %s (-update rewrites it):\n%s", err, golden, b.String())
	}
	if r.Passed() {
		t.Error("a row that failed passes")
	}
}
