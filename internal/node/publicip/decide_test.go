package publicip

import (
	"math/rand/v2"
	"testing"
)

// world is two proxies, the provider between them, and what VRRP makes of the wire.
type world struct {
	holder  int // 0, 1, or -1: nobody
	state   [2]state
	claimed [2]bool
	stays   [2]bool
	seen    [2]int // holder as each proxy saw it last, before it acts on it
	moves   int
}

var order = [...]string{"proxy-1", "proxy-2"}

// elect is VRRP without preemption: a master that hears one before it steps back.
func (w *world) elect(states [2]state) {
	for i, s := range states {
		if s == master && w.state[i] != master {
			w.claimed[i] = true
		}
	}
	w.state = states
}

// look and act are the two halves of a try: the other proxy may act in between.
func (w *world) look(i int) { w.seen[i] = w.holder }

func (w *world) act(i int) action {
	v := view{Self: order[i], Proxies: order[:], State: w.state[i], Claimed: w.claimed[i], Mine: w.seen[i] == i, Loose: w.seen[i] < 0, Stale: w.stays[i]}
	if w.seen[i] == 1-i {
		v.Holder = order[1-i]
	}
	w.stays[i] = v.Mine && v.State != master
	if v.Mine {
		w.claimed[i] = false
	}
	a := decide(v)
	if a == take {
		w.claimed[i] = false
	}
	switch {
	case a == take && w.holder != i:
		w.holder = i
		w.moves++
	case a == release && w.holder == i:
		w.holder = -1
		w.moves++
	}
	return a
}

// Whatever happened before, once VRRP keeps still the address ends at the master, and
// of two masters at the one that stays master when they meet; then nothing moves.
func TestSettles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for run := range 20000 {
		w := &world{holder: r.IntN(3) - 1, state: [2]state{unknown, unknown}, claimed: [2]bool{true, true}}
		for range r.IntN(30) {
			w.shake(r)
		}
		w.elect([][2]state{{master, master}, {master, unknown}, {unknown, master}}[run%3])
		w.moves = 0
		for range 12 {
			i := r.IntN(2)
			w.look(i)
			if r.IntN(2) == 0 { // the other one looks and acts in between
				w.look(1 - i)
				w.act(1 - i)
			}
			w.act(i)
		}
		for range 4 {
			w.look(0)
			w.act(0)
			w.look(1)
			w.act(1)
		}
		want, moves := 0, w.moves
		if w.state[0] != master {
			want = 1
		}
		w.look(0)
		w.look(1)
		for i := range order {
			if a := w.act(i); a == take || a == release {
				t.Fatalf("run %d: %s still does %d: %+v", run, order[i], a, w)
			}
		}
		if w.holder != want || moves > 6 {
			t.Fatalf("run %d: %d moves: %+v, want the address at %s", run, moves, w, order[want])
		}
	}
}

// shake lets one thing happen.
func (w *world) shake(r *rand.Rand) {
	states := [...]state{master, unknown}
	switch i := r.IntN(2); r.IntN(5) {
	case 0:
		w.elect([2]state{states[r.IntN(2)], states[r.IntN(2)]})
	case 1:
		w.claimed[i] = true // its helper starts anew
	case 2:
		w.look(i)
	case 3:
		w.act(i)
	case 4:
		w.holder = r.IntN(3) - 1 // somebody moves it by hand
	}
}

// What a stranger got by hand stays there, unless VRRP makes somebody master.
func TestStranger(t *testing.T) {
	v := view{Self: "proxy-1", Proxies: order[:], State: master, Holder: "bastion"}
	if a := decide(v); a != leave {
		t.Errorf("a settled master does %d", a)
	}
	v.Claimed = true
	if a := decide(v); a != take {
		t.Errorf("a new master does %d", a)
	}
}
