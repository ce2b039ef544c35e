package etcd

import (
	"fmt"
	"testing"
)

// kin is what the model keeps of a machine for restores. Lines are clusters of
// one family: 0 the first, 1 and 2 those that two different snapshots would make.
type kin struct {
	line      uint8 // of the data
	pastLine  uint8 // of the memory
	candidate uint8 // the snapshot at hand, 0 for none
	source    uint8 // what etcd.restoreFrom gives on this machine, 0 for nothing
	abandons  bool  // its payload gives up what is left of the first cluster
	viewed    uint8 // of the list that it was shown
	lines     [masters]uint8
	offers    [masters]bool
}

// own is as [node.own].
func (m *machine) own() uint8 {
	switch {
	case m.held == Data:
		return m.line
	case m.candidate > 0:
		return m.candidate
	case m.past != Never:
		return m.pastLine
	}
	return 0
}

// recalls is as [node.recall].
func (m *machine) recalls(line uint8) Past {
	switch {
	case m.past == Never || m.pastLine == line:
		return m.past
	case m.candidate > 0 && m.candidate == line:
		return Never
	}
	return Member
}

// remembers is as [node.rememberData].
func (m *machine) remembers(line uint8) {
	if m.pastLine != line || m.past != GivenUp {
		m.past, m.added, m.pastLine = Member, 0, line
	}
}

// about is the line that a machine's look is about, as [node.joined] has it.
func (m *machine) about() (line uint8, strange string) {
	line = m.own()
	if m.held == Data {
		return line, ""
	}
	found := false
	for j := range masters {
		if p := (Peer{State: m.answers[j]}); !p.holds() || p.State == Broken {
			continue
		}
		if found && m.lines[j] != line {
			return m.own(), modelSlot(j).Name
		}
		line, found = m.lines[j], true
	}
	return line, ""
}

// clear forgets what was gathered.
func (m *machine) clear() {
	m.answers, m.asked, m.view, m.viewed = [masters]State{}, [masters]bool{}, 0, 0
	m.lines, m.offers = [masters]uint8{}, [masters]bool{}
}

// fetch is as [node.fetch]: a promise first, then the newer snapshot.
func (w *world) fetch(i int) {
	m := &w.m[i]
	worth := func(o *machine) int {
		v := int(o.candidate)
		if v > 0 && o.past == Agreed && o.pastLine == o.candidate {
			v += 10
		}
		return v
	}
	best := m
	for j := range masters {
		if o := &w.m[j]; j != i && w.sees(i, j) && worth(o) > worth(best) {
			best = o
		}
	}
	switch {
	case best.candidate > 0:
		m.candidate = best.candidate
	default:
		m.candidate = m.source
	}
}

// alone is what must hold when a cluster begins: nobody has data of another.
func (w *world) alone(leader int) {
	for j := range masters {
		if w.m[j].held == Data && w.m[j].line != w.m[leader].line {
			panic(flaw(fmt.Sprintf("%d begins a cluster while %d has data of another", leader+1, j+1)))
		}
	}
}

// lives is what must hold when data is given up: no majority of its cluster has it.
func (w *world) lives(i int) {
	if w.history != 1 || w.m[i].line != 0 {
		return
	}
	c, holding := w.configs[w.committed], 0
	for j, p := range c {
		if m := w.m[j]; p != 0 && p&isLearner == 0 && m.held == Data && m.line == 0 && m.id == p.id() {
			holding++
		}
	}
	if holding > c.voters()/2 {
		panic(flaw(fmt.Sprintf("%d gives up a cluster of which %d voters have data", i+1, holding)))
	}
}

// counted is as [readVoters], where [node.observe] asks it.
func (w *world) counted(i int) int {
	if m := &w.m[i]; !m.abandons || m.held != Data || m.line != 0 || m.placed != placedNothing {
		return 0
	}
	return w.knows(i).voters()
}

// forgetViews drops lists of a cluster that nobody has data of any more.
func (w *world) forgetViews() {
	for i := range w.m {
		w.m[i].view, w.m[i].viewed = 0, 0
	}
}

// lost is a founded cluster of which so many masters still have data, with payloads
// that name a snapshot. What etcd.restoreFrom gives differs between machines.
func lost(holders int, abandon bool, sources ...uint8) func(w *world) {
	return func(w *world) {
		w.history, w.configs[0], w.founded, w.restore = 1, configuration{1 | isStarted, 2 | isStarted, 3 | isStarted}, true, true
		for i := range masters {
			k := kin{source: sources[i], abandons: abandon}
			w.m[i].kin = k
			if i < holders {
				w.m[i] = machine{held: Data, id: uint8(i + 1), history: 1, past: Member, placed: placedSettled, kin: k}
			}
		}
	}
}

// mistaken is a cluster of which so many masters have data, and one of these alone has
// a payload that gives it up.
func mistaken(holders int) func(w *world) {
	return func(w *world) {
		lost(holders, false, 1, 1, 1)(w)
		w.m[0].abandons = true
	}
}

// No order of boots, wipes, lost disks, power cuts and partitions during a restore leads
// to two clusters, to one beside data of the old, or to an empty one: whoever has
// data, of one snapshot on all masters or of several, with a majority left or without.
// And nobody gives up data while a majority has it.
func TestNoPathToTwoClustersByRestore(t *testing.T) {
	for _, tc := range []struct {
		name   string
		start  func(w *world)
		faults uint8
	}{
		{"all disks are lost, one snapshot", lost(0, false, 1, 1, 1), 1},
		{"all disks are lost, the snapshot is on one", lost(0, false, 0, 0, 1), 1},
		{"all disks are lost, two snapshots", lost(0, false, 1, 2, 0), 0},
		{"one survives and is in the way", lost(1, false, 1, 1, 1), 1},
		{"one survives and is given up", lost(1, true, 1, 2, 0), 0},
		{"a majority survives, and is given up by mistake", lost(2, true, 1, 1, 1), 1},
		{"all survive, and one gives up by mistake", mistaken(3), 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if *deep {
				tc.faults++
			}
			states, found := search(bounds{faults: tc.faults, together: true, old: true, limit: 2_000_000, start: tc.start}, Decide, check)
			if found != "" {
				t.Fatal(found)
			}
			if states > 2_000_000 {
				t.Fatalf("%d states and no end", states)
			}
			t.Logf("%d states", states)
		})
	}
}

// What a person need not mend comes to its end: all are voters of a restored cluster.
func TestRestoreConverges(t *testing.T) {
	for _, tc := range []struct {
		name string
		lost func(w *world)
		want bool
	}{
		{"one snapshot", lost(0, false, 1, 1, 1), true},
		{"on one master", lost(0, false, 0, 0, 1), true},
		{"two snapshots", lost(0, false, 1, 2, 0), true},
		{"no snapshot", lost(0, false, 0, 0, 0), false},
		{"a survivor in the way", lost(1, false, 1, 1, 1), false},
		{"a survivor that is given up", lost(1, true, 0, 2, 1), true},
		{"a majority", lost(2, false, 1, 1, 1), true},
		{"a majority that is given up", lost(2, true, 1, 1, 1), true},
		{"a majority, of which one gives it up", mistaken(2), true},
		{"all, of which one gives them up", mistaken(3), true},
	} {
		w := world{next: masters + 1, old: true}
		tc.lost(&w)
		by := mind{decide: Decide, known: map[observed]Decision{}}
		if got := w.converge(by); got != tc.want {
			t.Errorf("%s: voters %v, want %v: %+v", tc.name, got, tc.want, w)
		}
	}
}

// The model finds what it is there for: each of these mistakes leads somewhere bad.
func TestRestoreModelFindsMistakes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		start  func(w *world)
		decide func(o Observation) Decision
	}{
		{"any snapshot is the same", lost(0, false, 1, 2, 0), func(o Observation) Decision {
			for i, p := range o.Others {
				if p.Candidate && o.Restored {
					o.Others[i].Founding = o.Founding
				}
			}
			return Decide(o)
		}},
		{"etcd.abandon is taken at its word", mistaken(3), func(o Observation) Decision {
			if o.named() && o.Placed == "" && o.Past != GivenUp {
				return o.giveUp()
			}
			return Decide(o)
		}},
		{"silence is consent", lost(1, false, 1, 1, 1), func(o Observation) Decision {
			for i, p := range o.Others {
				if p.State == Silent && o.Restored {
					o.Others[i].State, o.Others[i].Founding, o.Others[i].Candidate = Willing, o.Founding, true
				} else if p.State == Silent {
					o.Others[i].State = Fetching
				}
			}
			return Decide(o)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			states, found := search(bounds{faults: 1, together: true, old: true, limit: 400_000, start: tc.start}, tc.decide, check)
			if found == "" {
				t.Fatalf("nothing found in %d states", states)
			}
			t.Logf("after %d states:\n%s", states, found)
		})
	}
}
