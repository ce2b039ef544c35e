package etcd

import (
	"fmt"
	"slices"
	"testing"

	"github.com/imgforge/imgforge/internal/bootcode"
)

const theCluster = ID(0xc1)

func slotURL(i int) string { return fmt.Sprintf("https://192.168.66.1%d:2380", i) }

func slotOf(i int) Slot {
	return Slot{Name: fmt.Sprintf("master-%d", i), URL: slotURL(i), Founder: true}
}

// seen is what master-1 observes on an empty disk when the others answer so.
func seen(others ...func(p *Peer)) Observation {
	o := Observation{Self: slotOf(1), Founding: theCluster}
	for i, answer := range others {
		p := Peer{Slot: slotOf(i + 2), Founding: theCluster}
		answer(&p)
		o.Others = append(o.Others, p)
	}
	return o
}

const theRestored = ID(0xc2)

// snapshotOf is a master that has the snapshot of a cluster, and no data.
func snapshotOf(s State, founding ID) func(p *Peer) {
	return func(p *Peer) { p.State, p.Founding, p.Candidate = s, founding, true }
}

// restoring is what a master sees that has the snapshot itself.
func restoring(o Observation, past Past) Observation {
	o.Founding, o.Restore, o.Restored, o.Past = theRestored, true, true, past
	return o
}

func withOwn(o Observation) Observation {
	o.Disk, o.Past = Disk{Held: Data, Member: voter(1).ID, Cluster: theCluster}, Member
	return o
}

func voter(i int) Entry {
	return Entry{ID: ID(16 + i), Name: slotOf(i).Name, URLs: []string{slotURL(i)}, Started: true}
}

func learner(i int) Entry { return Entry{ID: ID(32 + i), URLs: []string{slotURL(i)}, Learner: true} }

func listing(o Observation, entries ...Entry) Observation {
	o.View = View{Known: true, Quorum: true, Entries: entries, Minor: 6}
	return o
}

// An etcd of another cluster on a master's address ends every way to a member but
// those of a master that has data already.
func TestStrangerIsNeverJoined(t *testing.T) {
	every(func(o Observation) {
		if o.Strange = "master-3"; o.Disk.Held != Nothing || o.Serving {
			return
		}
		if d := Decide(o); !t.Failed() && d.Code != bootcode.EtcdTwoClusters {
			t.Errorf("%v %d beside a stranger\n%+v", d.Action, d.Code, o)
		}
	})
}

// The cases that the design speaks of, in its words.
func TestDecisionsInPlainWords(t *testing.T) {
	is := func(s State) func(p *Peer) {
		return func(p *Peer) {
			if p.State = s; p.holds() {
				p.Cluster = theCluster
			}
		}
	}
	past := func(p Past, o Observation) Observation { o.Past = p; return o }
	founded := func(o Observation) Observation { o.Founded = true; return o }
	disk := func(o Observation) Observation {
		o.Disk = Disk{Held: Data, Member: voter(1).ID, Cluster: theCluster}
		return past(Member, o)
	}
	joiner := func(o Observation) Observation { o.Self.Founder = false; return o }
	added := func(id ID, o Observation) Observation { o.Added = id; return past(Joining, o) }
	running := func(o Observation) Observation { o.Placed, o.Serving = "placed", true; return o }
	modern := func(o Observation) Observation { o.View.Minor = 7; return o }
	fetching := func(o Observation) Observation { o.Restore = true; return o }
	awaiting := func(o Observation) Observation {
		o.Others[1].Founder, o.Others[1].Awaited = false, true
		return o
	}
	reserved := func(o Observation) Observation { o.Others[1].Founder = false; return o }
	survivor := func(abandon ID, o Observation) Observation {
		o = fetching(listing(withOwn(o), voter(1), voter(2), voter(3)))
		o.Placed, o.Serving, o.View.Quorum, o.Abandon = "placed", true, false, abandon
		return o
	}
	// left is a survivor whose etcd the guard has not started.
	left := func(abandon ID, voters int, o Observation) Observation {
		o = fetching(withOwn(o))
		o.Abandon, o.Voters = abandon, voters
		return o
	}
	other := func(s State) func(p *Peer) { return func(p *Peer) { p.State, p.Cluster = s, theRestored } }
	for _, tc := range []struct {
		name string
		o    Observation
		want Action
		code int
	}{
		{"all founders are new: promise", seen(is(Blank), is(Blank)), Agree, 0},
		{"all have promised: found", past(Agreed, seen(is(Willing), is(Willing))), Found, 0},
		{"one has not promised yet: wait for it", past(Agreed, seen(is(Willing), is(Blank))), Wait, bootcode.EtcdFounders},
		{"one is slow or cut off: its silence is no consent", past(Agreed, seen(is(Willing), is(Silent))), Wait, bootcode.EtcdSilent},
		{"two founders have begun and the third, which has promised, saw nothing of it: it begins the same cluster", past(Agreed, seen(is(Holding), is(Silent))), Found, 0},
		{"a founder with data, and this one never promised: it may have been wiped, so it waits", seen(is(Holding), is(Willing)), Wait, bootcode.EtcdNoQuorum},
		{"wiped after the founding while the others reboot: silence, wait", seen(is(Silent), is(Silent)), Wait, bootcode.EtcdSilent},
		{"all wiped, founded false: an empty cluster is founded, which is why founded must be true", seen(is(Blank), is(Blank)), Agree, 0},
		{"all wiped, founded true: stop", founded(seen(is(Blank), is(Blank))), Refuse, bootcode.EtcdDataLost},
		{"promised under a payload that now forbids it", founded(past(Agreed, seen(is(Willing), is(Willing)))), Refuse, bootcode.EtcdDataLost},
		{"the data disks of all are gone, the memory is not: stop", past(Member, seen(is(Lost), is(Lost))), Refuse, bootcode.EtcdDataLost},
		{"one remembers what the others lost: stop", seen(is(Lost), is(Blank)), Refuse, bootcode.EtcdDataLost},
		{"a power cut of all: start without asking", disk(seen(is(Silent), is(Silent))), Start, 0},
		{"wiped, with a quorum: its old member goes first", listing(seen(is(Serving), is(Serving)), voter(1), voter(2), voter(3)), RemoveStale, 0},
		{"a founder that answered, was wiped, and the others founded: the same", listing(seen(is(Serving), is(Serving)), Entry{ID: 17, Name: "master-1", URLs: []string{slotURL(1)}}, voter(2), voter(3)), RemoveStale, 0},
		{"then a learner is added", listing(seen(is(Serving), is(Serving)), voter(2), voter(3)), AddLearner, 0},
		{"another learner is there: one at a time", listing(seen(is(Serving), is(Blank)), voter(2), learner(3)), Wait, bootcode.EtcdTurn},
		{"etcd 3.6 adds nobody while a voter is away", listing(seen(is(Serving), is(Silent)), voter(2), voter(3)), Wait, bootcode.EtcdVoterMissing},
		{"etcd 3.7 judges that itself", modern(listing(seen(is(Serving), is(Silent)), voter(2), voter(3))), AddLearner, 0},
		{"with 3.7 too the old member goes first", modern(listing(seen(is(Serving), is(Silent)), voter(1), voter(2), voter(3))), RemoveStale, 0},
		{"added: start as that learner", added(learner(1).ID, listing(seen(is(Serving), is(Serving)), learner(1), voter(2), voter(3))), StartAsLearner, 0},
		{"added by a run that died before it noted it: remove and add again", listing(seen(is(Serving), is(Serving)), learner(1), voter(2), voter(3)), RemoveStale, 0},
		{"a master beyond the founders joins", joiner(listing(seen(is(Serving), is(Serving)), voter(2), voter(3))), AddLearner, 0},
		{"a master beyond the founders never founds", joiner(seen(is(Willing), is(Willing))), Wait, bootcode.EtcdFounders},
		{"a voter that answers: done", running(disk(listing(seen(is(Serving), is(Serving)), voter(1), voter(2), voter(3)))), Settled, 0},
		{"data of a removed member: out of the way", disk(listing(seen(is(Serving), is(Serving)), voter(2), voter(3))), SetAside, 0},
		{"data vanished under a manifest: nothing may come up under that name", past(Member, func() Observation { o := seen(is(Silent), is(Silent)); o.Placed = "placed"; return o }()), Stop, 0},
		{"no data on any, a snapshot is named: get it", fetching(founded(seen(is(Blank), is(Fetching)))), Fetch, 0},
		{"but not while a master that exists is silent, founder or not: it may have data", fetching(awaiting(seen(is(Blank), is(Silent)))), Wait, bootcode.EtcdSilent},
		{"a slot without a machine is not missed", fetching(reserved(seen(is(Blank), is(Silent)))), Fetch, 0},
		{"one has no snapshot yet: no promise counts before all have the same", restoring(seen(is(Fetching), snapshotOf(Blank, theRestored)), Agreed), Wait, bootcode.EtcdFounders},
		{"another snapshot on a master: take what is to be taken", restoring(seen(snapshotOf(Blank, 0xc3), snapshotOf(Blank, theRestored)), Never), Fetch, 0},
		{"a promise is not taken back for another snapshot", restoring(seen(snapshotOf(Blank, 0xc3), snapshotOf(Willing, theRestored)), Agreed), Wait, bootcode.EtcdRestoring},
		{"a master whose payload restores nothing would found another cluster", restoring(seen(is(Blank), snapshotOf(Blank, theRestored)), Never), Refuse, bootcode.EtcdPayloads},
		{"the same snapshot on all, founded or not: promise", founded(restoring(seen(snapshotOf(Blank, theRestored), snapshotOf(Blank, theRestored)), Never)), Agree, 0},
		{"all have promised: restore", founded(restoring(seen(snapshotOf(Willing, theRestored), snapshotOf(Willing, theRestored)), Agreed)), Found, 0},
		{"the restored cluster has lost its data too: it is not restored once more by itself", restoring(seen(snapshotOf(Lost, theRestored), snapshotOf(Blank, theRestored)), Never), Refuse, bootcode.EtcdDataLost},
		{"a survivor has data that may be newer: a person decides", survivor(0, seen(is(Blank), is(Fetching))), Refuse, bootcode.EtcdRestoreBlocked},
		{"the person gave up another cluster's data", survivor(0xbad, seen(is(Blank), is(Fetching))), Refuse, bootcode.EtcdRestoreBlocked},
		{"the person gave up this data", survivor(theCluster, seen(is(Blank), is(Fetching))), GiveUp, 0},
		{"but there may be a majority", survivor(theCluster, seen(is(Blank), is(Silent))), Wait, bootcode.EtcdNoQuorum},
		{"or is one", survivor(theCluster, seen(is(Blank), is(Holding))), Wait, bootcode.EtcdNoQuorum},
		{"one of three has data that is given up, and the others answer: give it up", left(theCluster, 3, seen(is(Fetching), is(Lost))), GiveUp, 0},
		{"data of another cluster is given up, not this: start it", left(0xc9, 3, seen(is(Fetching), is(Lost))), Start, 0},
		{"one does not answer, and may have the data too: wait", left(theCluster, 3, seen(is(Fetching), is(Silent))), Wait, bootcode.EtcdSilent},
		{"another has the data too, so that the cluster may live: start it", left(theCluster, 3, seen(is(Holding), is(Silent))), Start, 0},
		{"another serves the cluster: start", left(theCluster, 5, seen(is(Serving), is(Fetching))), Start, 0},
		{"two of five have the data: give it up", left(theCluster, 5, seen(is(Holding), is(Fetching))), GiveUp, 0},
		{"a cluster of one, whatever the others say: start it", left(theCluster, 1, seen(is(Fetching), is(Silent))), Start, 0},
		{"how many vote is not known: a majority of the payload's masters", left(theCluster, 0, seen(is(Fetching), is(Fetching))), GiveUp, 0},
		{"a quorum serves the cluster that is given up by mistake: start", listing(left(theCluster, 0, seen(is(Serving), is(Serving))), voter(1), voter(2), voter(3)), Start, 0},
		{"the restored cluster serves already: the old data is given up, and this node joins", left(theCluster, 3, seen(other(Serving), other(Serving))), GiveUp, 0},
		{"given up: once its etcd has ended, the data goes aside", past(GivenUp, withOwn(seen(is(Blank), is(Fetching)))), SetAside, 0},
		{"a snapshot is named, and there is data: it is not touched", func() Observation { o := founded(seen(is(Holding), is(Blank))); o.Restore = true; return o }(), Wait, bootcode.EtcdNoQuorum},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := Decide(tc.o); d.Action != tc.want || d.Code != tc.code {
				t.Errorf("got %v %d %q, want %v %d", d.Action, d.Code, d.Why, tc.want, tc.code)
			}
		})
	}
}

// every combines own disk, past, manifest and etcd, own membership, both others'
// answers, learners, quorum, versions and settings of a cluster of three.
func every(visit func(o Observation)) {
	lists := memberLists()
	alone(func(o Observation) {
		for _, two := range answers() {
			for _, three := range answers() {
				two.Slot, three.Slot = slotOf(2), slotOf(3)
				o.Others = []Peer{two, three}
				for i := range o.Others {
					if o.Others[i].Founding == 0 {
						o.Others[i].Founding = theCluster
					}
				}
				for _, o.View = range lists {
					visit(o)
					if o.Placed != "" && o.Past == Joining {
						told := o
						told.Placed = o.initialCluster() // it was told the very members there are
						visit(told)
					}
				}
			}
		}
	})
}

// alone are all things that a master knows without asking: disk, past, manifest, its
// own etcd, settings.
func alone(visit func(o Observation)) {
	disks := []Disk{{}, {Held: Damaged}, {Held: Data, Member: voter(1).ID, Cluster: theCluster}, {Held: Data, Member: voter(1).ID, Cluster: 0xbad}}
	pasts := []Observation{{Past: Never}, {Past: Agreed}, {Past: Member}, {Past: Joining, Added: learner(1).ID}, {Past: Joining, Added: 0x77}}
	for _, d := range disks {
		for _, o := range pasts {
			for setting := range 64 {
				o.Self, o.Founding, o.Disk = slotOf(1), theCluster, d
				o.Founded, o.Restore, o.Serving, o.Self.Founder = setting&1 != 0, setting&2 != 0, setting&4 != 0, setting&8 == 0
				o.Placed = ""
				if setting&16 != 0 {
					o.Placed = "placed"
				}
				if o.Ended = ""; setting&32 != 0 && d.Held == Data {
					o.Ended = "fatal"
				}
				visit(o)
			}
		}
	}
}

// answers are those of another master.
func answers() []Peer {
	return []Peer{{State: Silent}, {State: Blank}, {State: Willing}, {State: Lost}, {State: Broken}, {State: Holding, Cluster: theCluster},
		{State: Serving, Cluster: theCluster}, {State: Blank, Founding: 0xbad}}
}

// memberLists are those that a master may be shown, or none. The version is 3.6, 3.7
// or, when nobody serves, unknown.
func memberLists() []View {
	lists := []View{{}}
	own := [][]Entry{
		nil, {voter(1)}, {{ID: voter(1).ID, URLs: []string{slotURL(1)}}}, // a founder that has not begun
		{learner(1)}, {{ID: voter(1).ID, URLs: []string{slotURL(1)}, Learner: true, Started: true}}, {{ID: voter(1).ID, URLs: []string{slotURL(1)}, Learner: true}},
		{{ID: 0x99, Name: "master-1", URLs: []string{slotURL(1)}, Started: true}},        // somebody in its place
		{{ID: voter(1).ID, Name: "master-9", URLs: []string{slotURL(9)}, Started: true}}, // its data, elsewhere
	}
	for _, mine := range own {
		for _, others := range [][]Entry{nil, {voter(2)}, {voter(2), voter(3)}, {voter(2), learner(3)}} {
			if len(mine)+len(others) == 0 {
				continue
			}
			for _, quorum := range []bool{true, false} {
				for _, minor := range []int{0, 6, 7} {
					lists = append(lists, View{Known: true, Quorum: quorum, Minor: minor, Entries: slices.Concat(mine, others)})
				}
			}
		}
	}
	return lists
}

// Whatever a master sees, it never does these things.
func TestEveryCombination(t *testing.T) {
	count, actions := 0, map[Action]int{}
	every(func(o Observation) {
		count++
		d := Decide(o)
		actions[d.Action]++
		if why := wrong(o, d); why != "" && !t.Failed() {
			t.Errorf("%v: %s\n%+v", d.Action, why, o)
		}
	})
	for a := Wait; a <= Stop; a++ {
		if actions[a] == 0 {
			t.Errorf("nothing leads to %v", a)
		}
	}
	t.Logf("%d combinations: %v", count, actions)
}

// wrong says what forbids a decision.
func wrong(o Observation, d Decision) string {
	own, listed := o.mine()
	quorum, empty := o.View.Quorum, o.Disk.Held == Nothing
	count := func(states ...State) (n int) {
		for _, p := range o.Others {
			for _, s := range states {
				if p.State == s && (p.holds() || p.Founding == theCluster) {
					n++
				}
			}
		}
		return n
	}
	holders := count(Holding, Serving, Broken)
	switch d.Action {
	case Agree:
		if !empty || o.Past != Never || o.Founded || !o.Self.Founder || count(Blank, Willing) != 2 {
			return "a promise without everybody's fresh consent"
		}
	case Found:
		if !empty || o.Past != Agreed || o.Founded || !o.Self.Founder || o.Placed != "" {
			return "founds without a promise"
		}
		if count(Willing) != 2 && holders == 0 && !(quorum && listed && !own.Started) {
			return "founds although not all have promised"
		}
	case RemoveStale:
		if !quorum || own.ID != d.Member || o.Disk.Held == Data || o.Serving {
			return "removes what is not its own dead member"
		}
	case AddLearner:
		if !quorum || listed || !empty || o.Placed != "" {
			return "joins without a quorum, or before its old member is gone"
		}
		for _, e := range o.View.Entries {
			if e.Learner {
				return "joins beside another"
			}
			if o.View.Minor < 7 && o.stateAt(e) != Serving {
				return "asks an etcd for what it refuses while a voter is away"
			}
		}
	case StartAsLearner:
		if !quorum || !empty || o.Past != Joining || own.ID != o.Added || own.Started || o.Serving {
			return "starts as a learner that is not its own new one"
		}
	case Start, Settled:
		if o.Disk.Held != Data || o.Disk.Cluster != theCluster {
			return "starts without data of its own"
		}
	case Promote:
		if !quorum || d.Member != o.Disk.Member || !own.Learner {
			return "promotes another"
		}
	case SetAside:
		if !quorum || o.Disk.Held == Nothing || listed && own.ID == o.Disk.Member || o.Placed != "" {
			return "moves data away that may be needed"
		}
	case Stop:
		if o.Disk.Held == Data && !quorum {
			return "stops a member that nobody says is removed"
		}
	case Wait, Refuse:
		if bootcode.Fail(d.Code, "%s", d.Why).Code.Name == "unknown" || d.Code < 500 || d.Why == "" {
			return "says nothing"
		}
		if d.Code == bootcode.EtcdVoterMissing && o.View.Minor >= 7 {
			return "waits for a voter that this etcd does not need"
		}
		if (d.Code == bootcode.EtcdNoQuorum || d.Code == bootcode.EtcdSilent) && quorum {
			return "waits for a quorum that answers"
		}
	}
	return ""
}
