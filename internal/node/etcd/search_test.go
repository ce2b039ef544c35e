package etcd

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

// event is one thing that can happen; it tells whether it did.
type event struct {
	name string
	do   func(w *world) bool
}

// events are all that can happen, faults among them.
func events(by mind, together bool) []event {
	var out []event
	add := func(fault bool, do func(w *world) bool, format string, args ...any) {
		out = append(out, event{fmt.Sprintf(format, args...), func(w *world) bool {
			if fault {
				if w.faults == 0 {
					return false
				}
				w.faults--
			}
			return do(w)
		}})
	}
	for i := range masters {
		for j := range masters {
			if i != j && !together {
				add(false, func(w *world) bool {
					if !w.m[i].up || w.m[i].asked[j] {
						return false
					}
					w.ask(i, j)
					return true
				}, "%d asks %d", i+1, j+1)
			}
		}
		if together {
			add(false, func(w *world) bool {
				if !w.m[i].up || w.ready(i) {
					return false
				}
				for j := range masters {
					if i != j {
						w.ask(i, j)
					}
				}
				return true
			}, "%d asks all", i+1)
		}
		add(false, func(w *world) bool { return w.ready(i) && w.did(i, false, by) }, "%d acts", i+1)
		add(true, func(w *world) bool { return w.ready(i) && w.did(i, true, by) }, "%d acts and dies before it notes it", i+1)
		add(false, func(w *world) bool { return w.kubelet(i) }, "etcd of %d begins", i+1)
		add(false, func(w *world) bool {
			if w.m[i].up {
				return false
			}
			w.boot(i)
			return true
		}, "%d boots", i+1)
		for _, f := range []struct {
			name string
			do   func(w *world, i int)
		}{
			{"is wiped", (*world).wipe},
			{"loses power", (*world).reboot},
			{"loses its data disk", func(w *world, i int) { w.reboot(i); w.loseData(i) }},
			{"finds its data damaged", func(w *world, i int) { w.reboot(i); w.damage(i) }},
		} {
			add(true, func(w *world) bool {
				if f.name == "finds its data damaged" && w.m[i].held != Data {
					return false
				}
				f.do(w, i)
				return true
			}, "%d %s", i+1, f.name)
		}
	}
	add(true, func(w *world) bool {
		leader, ok := w.elect(0)
		for i := 1; i < masters && !ok; i++ {
			leader, ok = w.elect(i)
		}
		if ok {
			w.change(leader, func(*configuration) {})
		}
		return ok
	}, "a client writes")
	for apart := range uint8(masters + 2) {
		add(apart != 0, func(w *world) bool {
			if w.apart == apart {
				return false
			}
			w.apart = apart
			return true
		}, "the network is split, kind %d", apart)
	}
	return out
}

func (w *world) ready(i int) bool {
	for j := range masters {
		if j != i && !w.m[i].asked[j] {
			return false
		}
	}
	return w.m[i].up
}

func (w *world) did(i int, dies bool, by mind) bool {
	before := *w
	d := w.act(i, dies, by)
	if dies {
		if d.Action != AddLearner || w.m == before.m {
			return false // the others change nothing but what they note
		}
		w.reboot(i)
	}
	return *w != before
}

// bounds of a search.
type bounds struct {
	faults   uint8
	together bool // one asks all others at once, rather than one by one
	old      bool // etcd 3.6
	founded  bool
	limit    int
	// start, when set, makes the first state another one than three new machines.
	start func(w *world)
}

// search visits every state within the bounds, breadth first, and returns how many
// there are, with the first flaw and how it came about.
func search(b bounds, decide func(Observation) Decision, visit func(n int, w world, by mind)) (states int, found string) {
	by := mind{decide: decide, known: map[observed]Decision{}}
	all := events(by, b.together)
	type step struct {
		from  int32
		event int16
	}
	first := world{next: masters + 1, faults: b.faults, old: b.old, founded: b.founded}
	if b.start != nil {
		b.start(&first)
	}
	seen := map[world]struct{}{first: {}}
	queue, trail := []world{first}, []step{{-1, -1}}
	// Machines are put in order after every step: numbers hold for one line each.
	path := func(at int, last int, why flaw) string {
		lines := []string{all[last].name, string(why)}
		for ; trail[at].from >= 0; at = int(trail[at].from) {
			lines = append([]string{all[trail[at].event].name}, lines...)
		}
		return strings.Join(lines, "\n")
	}
	for at := 0; at < len(queue); at++ {
		for e := range all {
			next := queue[at]
			happened, why := attempt(func() bool { return all[e].do(&next) })
			if why == "" && happened && next.history <= max(1, first.history+1) { // a second history after all of the first is gone is a new life
				next.order()
				next.plain()
				if _, known := seen[next]; known {
					continue
				}
				seen[next] = struct{}{}
				queue, trail = append(queue, next), append(trail, step{int32(at), int16(e)})
				if len(queue) > b.limit {
					return len(queue), "" // which the callers do not take for an end
				}
				_, why = attempt(func() bool { visit(len(queue), next, by); return true })
			}
			if why != "" {
				return len(queue), path(at, e, why)
			}
		}
	}
	return len(queue), ""
}

func attempt(do func() bool) (happened bool, why flaw) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case flaw:
			happened, why = false, r
		default:
			panic(r)
		}
	}()
	return do(), ""
}

// recoverable tells whether three voters must come of a state once all machines run
// and see each other, with no person's help.
func (w *world) recoverable() bool {
	data, ready, lost := 0, 0, 0
	for i := range w.m {
		m := &w.m[i]
		c := configuration{1, 2, 3}
		if w.history > 0 {
			c = w.configs[w.committed]
		}
		promised := m.held == Nothing && m.past == Agreed && c[i] == place(i+1)
		switch {
		case m.held == Data && c[i] != 0 && c[i]&isLearner == 0 && c[i].id() == m.id:
			data++
			ready++
		case promised:
			ready++
		case m.held == Damaged || m.held == Nothing && m.past >= Joining:
			lost++
		}
	}
	if data == 0 {
		return w.history == 0 && lost == 0 && !w.founded
	}
	voters := masters
	if w.history > 0 {
		voters = w.configs[w.committed].voters()
	}
	return ready > voters/2
}

// converge lets everybody act in turn and tells whether all become voters.
func (w *world) converge(by mind) bool {
	w.apart = 0
	for i := range w.m {
		if !w.m[i].up {
			w.boot(i)
		}
	}
	for range 40 {
		settled := 0
		for i := range w.m {
			for j := range w.m {
				if i != j {
					w.ask(i, j)
				}
			}
			if w.act(i, false, by).Action == Settled {
				settled++
			}
			w.kubelet(i)
			w.plain()
		}
		if settled == masters {
			return true
		}
	}
	return false
}

// check is what must hold in every state: from each that a person need not mend,
// the masters find their way.
func check(n int, w world, by mind) {
	if n%25 != 0 || w.restore {
		return // the way is long; a part of the states shows it
	}
	if w.recoverable() && !w.converge(by) {
		panic(flaw(fmt.Sprintf("they never become three voters, but stay %+v", w)))
	}
}

var deep = flag.Bool("deep", false, "search with one more fault: millions of states, minutes")

// No order of boots, questions, wipes, lost disks, power cuts, partitions and kills
// leads to two clusters, to a lost write or to a wait that never ends.
func TestNoPathToTwoClusters(t *testing.T) {
	searches := []bounds{
		{faults: 1, together: false, old: true},
		{faults: 2, together: true, old: true},
		{faults: 2, together: true, old: false},
		{faults: 2, together: true, old: true, founded: true},
	}
	if *deep {
		searches = append(searches, bounds{faults: 3, together: true, old: true}, bounds{faults: 2, together: false, old: true})
	}
	for _, b := range searches {
		b.limit = 5_000_000
		states, found := search(b, Decide, check)
		if found != "" {
			t.Fatalf("%d faults, together %v, etcd 3.6 %v, founded %v: %s", b.faults, b.together, b.old, b.founded, found)
		}
		if states > b.limit {
			t.Fatalf("%d states and no end", states)
		}
		t.Logf("%d faults, together %v, etcd 3.6 %v, founded %v: %d states", b.faults, b.together, b.old, b.founded, states)
	}
}

// twoFounded is a cluster of two founders; the third has promised and is slow.
func twoFounded(w *world) {
	w.history, w.configs[0] = 1, configuration{1 | isStarted, 2 | isStarted, 3}
	for i := range 2 {
		w.m[i] = machine{up: true, held: Data, id: uint8(i + 1), history: 1, past: Member, placed: placedSettled}
	}
	w.m[2] = machine{up: true, past: Agreed}
}

// The model finds what it is there for: each of these mistakes leads somewhere bad.
func TestModelFindsMistakes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		start  func(w *world)
		decide func(o Observation) Decision
	}{
		{"silence is consent", twoFounded, func(o Observation) Decision {
			for i := range o.Others {
				if o.Others[i].State == Silent {
					o.Others[i].State = Willing
				}
			}
			return Decide(o)
		}},
		{"who lost its data founds as it once promised", nil, func(o Observation) Decision {
			if o.Past == Member && o.Disk.Held == Nothing && o.Placed == "" {
				o.Past = Agreed
			}
			return Decide(o)
		}},
		{"an old member is taken up again", nil, func(o Observation) Decision {
			d := Decide(o)
			if own, _ := o.mine(); d.Action == RemoveStale {
				return Decision{Action: StartAsLearner, Member: own.ID, Cluster: o.initialCluster()}
			}
			return d
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			states, found := search(bounds{faults: 2, together: true, old: true, limit: 400_000, start: tc.start}, tc.decide, check)
			if found == "" {
				t.Fatalf("nothing found in %d states", states)
			}
			t.Logf("after %d states:\n%s", states, found)
		})
	}
}
