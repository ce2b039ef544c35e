package lab

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/spec"
)

// A write is lost when its key is not there, or holds something else.
func TestMissingKeys(t *testing.T) {
	out := "lab/1\nthe value of lab/1\nlab/2\nthe value of lab/3\n"
	if got := missingIn(out, []string{"lab/1", "lab/2", "lab/3"}); !slices.Equal(got, []string{"lab/2", "lab/3"}) {
		t.Errorf("%q", got)
	}
	if got := missingIn("", []string{"lab/1"}); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// What a machine said by a clock that was off, and what it said once that was right,
// count from the same power-on.
func TestWordsOfClocksThatAreOff(t *testing.T) {
	for _, ahead := range []time.Duration{hour, -hour, 0} {
		v := &VM{PoweredOn: time.Now().Add(-5 * time.Minute), made: MachineOptions{Ahead: ahead}}
		said := v.PoweredOn.Add(time.Minute)
		for _, at := range []time.Time{said, said.Add(ahead)} {
			if got := v.after(at); got.Round(time.Second) != time.Minute {
				t.Errorf("%s ahead, said at %s: %s", ahead, at, got)
			}
		}
	}
}

// The settings of a bucket are a valid part of every cluster that faults are shown on,
// and who took a snapshot from it stands in what the server prints.
func TestBucket(t *testing.T) {
	b, err := (&Lab{Config: Config{Artifacts: t.TempDir()}, work: t.TempDir()}).newBucket()
	if err != nil {
		t.Fatal(err)
	}
	for _, topology := range FaultTopologies() {
		if topology.Kind != Container {
			continue
		}
		text := topology.Cluster + b.settings() + "  founded: true\n  restoreFrom: " + b.url(latestSnapshot) + "\n"
		if _, _, problems := spec.Parse("cluster.yaml", []byte(text)); problems.Errors() > 0 {
			t.Errorf("%s: %v", topology.Name, problems.Problems)
		}
		for _, secret := range b.secrets() {
			if strings.Contains(text, secret) {
				t.Errorf("%s: a key of the bucket is in the cluster file", topology.Name)
			}
		}
	}
	log := `22:08:49 | 200 |  10.7ms | 10.99.0.1 | PUT | /backups/p/one.db.age | - |
22:10:17 | 404 | 323.8µs | 10.99.0.4 | GET | /backups/p/one.db.age | - |
22:10:17 | 200 | 323.8µs | 10.99.0.2 | GET | /backups/p/one.db.age | - |
22:10:17 | 206 | 323.8µs | 10.99.0.1 | GET | /backups/p/one.db.age | - |
22:10:18 | 206 | 323.8µs | 10.99.0.1 | GET | /backups/p/one.db.age | - |
22:10:18 | 200 | 323.8µs | 10.99.0.3 | GET | /backups/p/two.db.age | - |
listening
`
	if got := tookOf(log, "one.db.age"); !slices.Equal(got, []string{"10.99.0.1", "10.99.0.2"}) {
		t.Errorf("%q", got)
	}
}

// A topology that is a row holds when all of its checks do, and keeps what its play noted.
func TestRowOfTopology(t *testing.T) {
	topology := clockVM()
	o := &Outcome{Topology: topology.Name, Seconds: 9, Faults: []*FaultRow{{Acknowledged: 7}}}
	o.rowOf(*topology.Row, nil)
	if r := o.Faults[0]; !r.Passed || r.Acknowledged != 7 || r.Seconds != 9 || r.Name != nameClock || o.failedRows() != nil {
		t.Errorf("%+v", r)
	}
	o = &Outcome{Checks: []Result{{Name: "clocks", Evidence: "an hour"}}}
	o.rowOf(*topology.Row, o.failed())
	if r := o.Faults[0]; r.Passed || r.Error != "clocks: an hour" || o.failedRows() == nil {
		t.Errorf("%+v", r)
	}
}
