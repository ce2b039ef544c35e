package etcd

import (
	"slices"
	"testing"

	"github.com/imgforge/imgforge/internal/bootcode"
)

// A cluster of one, and clusters of five, decide as those of three do.
func TestOneAndFive(t *testing.T) {
	is := func(states ...State) (out []func(p *Peer)) {
		for _, s := range states {
			out = append(out, func(p *Peer) {
				if p.State = s; p.holds() {
					p.Cluster = theCluster
				}
			})
		}
		return out
	}
	with := func(p Past, o Observation) Observation { o.Past = p; return o }
	unconfirmed := func(o Observation) Observation { o.View.Quorum = false; return o }
	two, three, four, five := voter(2), voter(3), voter(4), voter(5)
	for name, c := range map[string]struct {
		o    Observation
		want Action
		code int
	}{
		"one promises to itself":                      {seen(), Agree, 0},
		"one founds alone":                            {with(Agreed, seen()), Found, 0},
		"one that lost its data founds nothing":       {with(Member, seen()), Refuse, bootcode.EtcdDataLost},
		"all five promise":                            {with(Agreed, seen(is(Willing, Willing, Willing, Willing)...)), Found, 0},
		"a majority of five is no consent":            {with(Agreed, seen(is(Willing, Willing, Willing, Silent)...)), Wait, bootcode.EtcdSilent},
		"nor are four fifths with one that hesitates": {with(Agreed, seen(is(Willing, Willing, Willing, Blank)...)), Wait, bootcode.EtcdFounders},
		"two of five were wiped: each removes itself": {listing(seen(is(Serving, Serving, Serving, Blank)...), voter(1), two, three, four, five), RemoveStale, 0},
		"and waits for the other to do so, with 3.6":  {listing(seen(is(Serving, Serving, Serving, Blank)...), two, three, four, five), Wait, bootcode.EtcdVoterMissing},
		"then joins": {listing(seen(is(Serving, Serving, Serving, Blank)...), two, three, four), AddLearner, 0},
		"one by one": {listing(seen(is(Serving, Serving, Serving, Blank)...), two, three, four, learner(5)), Wait, bootcode.EtcdTurn},
		"three of five were wiped: two are no majority": {unconfirmed(listing(seen(is(Holding, Holding, Blank, Blank)...), voter(1), two, three, four, five)), Refuse, bootcode.EtcdQuorumGone},
		"but one more may have data":                    {unconfirmed(listing(seen(is(Holding, Holding, Silent, Blank)...), voter(1), two, three, four, five)), Wait, bootcode.EtcdNoQuorum},
	} {
		if d := Decide(c.o); d.Action != c.want || d.Code != c.code {
			t.Errorf("%s: %v %d %q, want %v %d", name, d.Action, d.Code, d.Why, c.want, c.code)
		}
	}
}

// Whatever the others answer, of two and of five founders each begins only with the
// promise of all, or behind one that has begun.
func TestFiveFoundOnlyTogether(t *testing.T) {
	states := []State{Silent, Blank, Willing, Lost, Holding, Serving, Broken}
	for n := 1; n <= 4; n += 3 {
		every := 1
		for range n {
			every *= len(states)
		}
		for i := range every {
			var answers []func(p *Peer)
			var have []State
			for rest, at := i, 0; at < n; at++ {
				s := states[rest%len(states)]
				rest /= len(states)
				have = append(have, s)
				answers = append(answers, func(p *Peer) {
					if p.State = s; p.holds() {
						p.Cluster = theCluster
					}
				})
			}
			o := seen(answers...)
			for _, o.Past = range []Past{Never, Agreed, Joining, Member} {
				all := !slices.ContainsFunc(have, func(s State) bool { return s != Willing })
				begun := slices.ContainsFunc(have, func(s State) bool { return s == Holding || s == Serving || s == Broken })
				if d := Decide(o); d.Action == Found && (o.Past != Agreed || !all && !begun) {
					t.Fatalf("founds after %d with %v", o.Past, have)
				}
			}
		}
	}
}
