package lab

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// paceWatch is how often nodes are looked at for the addresses that move.
const paceWatch = 100 * time.Millisecond

// addressWatch sees who has the addresses that move, all along.
type addressWatch struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu   sync.Mutex
	seen map[string][]sighting // by what the address is
}

// sighting is who had an address from a time on.
type sighting struct {
	at      time.Time
	holders []string
}

// watchAddresses begins to look at every node that may have a floating address.
func (r *ring) watchAddresses(ctx context.Context) (*addressWatch, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &addressWatch{cancel: cancel, seen: map[string][]sighting{}}
	for _, f := range r.floating() {
		h, err := holder(ctx, f.nodes, f.address)
		if err != nil {
			cancel()
			return nil, err
		}
		w.seen[f.what] = []sighting{{time.Now(), []string{h.Name}}}
		names := map[string]string{} // of namespaces, which do not change
		for _, n := range f.nodes {
			names[n.Name] = r.id + "-" + n.Name
		}
		w.done.Go(func() { w.look(ctx, f, names) })
	}
	return w, nil
}

func (w *addressWatch) look(ctx context.Context, f floating, namespaces map[string]string) {
	for ; ctx.Err() == nil; rest(ctx, paceWatch) {
		var holders []string
		for name, netns := range namespaces {
			if has(netns, f.address) {
				holders = append(holders, name)
			}
		}
		slices.Sort(holders)
		w.mu.Lock()
		seen := w.seen[f.what]
		if !slices.Equal(seen[len(seen)-1].holders, holders) {
			w.seen[f.what] = append(seen, sighting{time.Now(), holders})
		}
		w.mu.Unlock()
	}
}

// has tells whether a machine that has power has an address.
func has(netns, address string) (found bool) {
	within(netns, func() error { // one that is gone has none
		addresses, err := net.InterfaceAddrs()
		for _, a := range addresses {
			found = found || strings.HasPrefix(a.String(), address+"/")
		}
		return err
	})
	return found
}

func (w *addressWatch) stop() {
	w.cancel()
	w.done.Wait()
}

// moves are what happened to the addresses since a fault began.
func (w *addressWatch) moves(begun time.Time) (list []Measure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for what, seen := range w.seen {
		list = append(list, movesOf(what, seen, begun)...)
	}
	slices.SortFunc(list, func(a, b Measure) int { return strings.Compare(a.What, b.What) })
	return list
}

// movesOf is how long after the begin another node had an address for the first time,
// and for how long none had it, and more than one.
func movesOf(what string, seen []sighting, begun time.Time) (list []Measure) {
	before := seen[0].holders
	for _, s := range seen {
		if !s.at.After(begun) {
			before = s.holders
		}
	}
	moved, nowhere, twice := false, time.Duration(0), time.Duration(0)
	for i, s := range seen {
		if !s.at.After(begun) {
			continue
		}
		other := slices.IndexFunc(s.holders, func(h string) bool { return !slices.Contains(before, h) })
		if other >= 0 && !moved {
			moved = true
			list = append(list, Measure{What: fmt.Sprintf("%s moved from %s to %s", what, strings.Join(before, " and "), s.holders[other]), Seconds: s.at.Sub(begun).Seconds(), Aim: aimMove})
		}
		until := time.Now()
		if i+1 < len(seen) {
			until = seen[i+1].at
		}
		switch len(s.holders) {
		case 0:
			nowhere += until.Sub(s.at)
		case 1:
		default:
			twice += until.Sub(s.at)
		}
	}
	if nowhere > 0 {
		list = append(list, Measure{What: what + " at no node", Seconds: nowhere.Seconds()})
	}
	if twice > 0 {
		list = append(list, Measure{What: what + " at more than one node", Seconds: twice.Seconds()})
	}
	return list
}
