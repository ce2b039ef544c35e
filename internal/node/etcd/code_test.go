package etcd

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/testtool"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// provoked makes each code come of a state that has it.
func provoked(t *testing.T) map[int]string {
	out := map[int]string{}
	add := func(o Observation) {
		t.Helper()
		d := Decide(o)
		if d.Action != Wait && d.Action != Refuse {
			t.Errorf("%v is no code: %+v", d.Action, o)
		}
		out[d.Code] = bootcode.Fail(d.Code, "%s", d.Why).Error()
	}
	holding := func(cluster ID) func(p *Peer) { return func(p *Peer) { p.State, p.Cluster = Holding, cluster } }
	serving := func(p *Peer) { p.State, p.Cluster = Serving, theCluster }
	state := func(s State) func(p *Peer) { return func(p *Peer) { p.State = s } }
	own := Disk{Held: Data, Member: 0x11, Cluster: theCluster}

	add(seen(state(Silent), state(Blank)))
	o := seen(state(Blank), state(Willing))
	o.Past = Agreed
	add(o)
	add(seen(holding(theCluster), state(Silent)))
	o = listing(seen(serving, state(Blank)), voter(2), learner(3))
	add(o)
	o = listing(seen(serving, state(Silent)), voter(2), voter(3))
	add(o)
	o = seen(state(Blank), state(Blank))
	o.Disk, o.Placed = own, "placed"
	add(o)
	o.Ended = `{"level":"fatal","caller":"embed/etcd.go:98","msg":"found data inconsistency with peers"}`
	add(o)
	o = listing(seen(serving, state(Blank)), voter(1), voter(2), voter(3))
	o.View.Quorum = false
	add(o)
	o = seen(state(Blank), state(Blank))
	o.Founded = true
	add(o)
	add(restoring(seen(snapshotOf(Willing, 0xc3), snapshotOf(Willing, theRestored)), Agreed))
	o = listing(seen(state(Blank), state(Fetching)), voter(1), voter(2), voter(3))
	o.Disk, o.Placed, o.Serving, o.Restore, o.View.Quorum = own, "placed", true, true, false
	add(o)
	o = seen(state(Silent), state(Silent))
	o.Disk = Disk{Held: Data, Member: 0x11, Cluster: 0xbad}
	add(o)
	o = listing(seen(serving, serving), voter(2), voter(3), Entry{ID: 0x99, Name: "master-1", URLs: []string{slotURL(1)}, Started: true})
	o.Disk = own
	add(o)
	o = seen(state(Silent), holding(theCluster))
	o.Disk.Held = Damaged
	add(o)
	o = listing(seen(serving, serving), voter(1), voter(2), voter(3))
	o.Serving, o.Past = true, Member
	add(o)
	add(seen(state(Blank), func(p *Peer) { p.State, p.Founding = Blank, 0xbad }))
	o = seen(state(Silent), serving)
	o.Strange = "master-3"
	add(o)

	n := &node{self: Slot{Name: "master-1"}, o: Options{Root: "testdata/nowhere", Report: reporter(func(f *bootcode.Failure) { out[f.Code.Number] = f.Error() })}, fault: func(string) error { return nil }}
	n.report(bootcode.EtcdCatchingUp, errBehind.Error())
	n.restore = "/var/lib/imgforge/snapshots/latest.db.age"
	err := n.source(t.Context(), io.Discard) // as fetch reports it
	n.report(bootcode.EtcdRestore, n.restore+": "+err.Error())
	n.report(bootcode.EtcdStepFailed, fmt.Errorf("%s: %w", AddLearner, &refusal{Message: "etcdserver: unhealthy cluster"}).Error())
	err = Run(t.Context(), Options{Root: "testdata/nowhere"})
	out[bootcode.EtcdUnable] = strings.ReplaceAll(err.Error(), "testdata/nowhere", "")
	return out
}

// Every code has one golden text, made by what causes it.
func TestEveryCodeHasItsText(t *testing.T) {
	texts, last := provoked(t), 500
	for _, c := range bootcode.All() {
		if c.Step != step.Etcd {
			continue
		}
		if c.Number <= last || c.Number > 599 {
			t.Errorf("code %d is out of order", c.Number)
		}
		last = c.Number
		got := texts[c.Number]
		if !strings.Contains(got, fmt.Sprintf(" %d %s in step etcd: ", c.Number, c.Name)) || !strings.Contains(got, "  why:    ") || !strings.Contains(got, "  change: ") {
			t.Errorf("code %d was not provoked:\n%s", c.Number, got)
		}
		testtool.BootCode(t, c, got+"\n", *update)
	}
}

// reporter stands in for the log of a node.
type reporter func(f *bootcode.Failure)

func (r reporter) Failed(f *bootcode.Failure) { r(f) }
func (r reporter) Waiting(string, string)     {}
func (r reporter) Done(string, string)        {}
