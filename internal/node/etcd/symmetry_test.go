package etcd

import (
	"cmp"
	"slices"
)

// order gives the machines the order of what they are in, for the model treats
// them alike: two worlds that differ in who is who are one. Machines of equal rank
// keep theirs, so that some such worlds are met twice.
func (w *world) order() {
	rank := func(m *machine) (r uint64) {
		for _, v := range []uint8{uint8(m.held), uint8(m.past), m.placed, min(m.view, 1), min(m.history, 1)} {
			r = r<<8 | uint64(v)
		}
		for _, v := range []uint8{m.line, m.candidate, m.source, m.pastLine} {
			r = r<<2 | uint64(v)
		}
		if r <<= 1; m.up {
			r++
		}
		if m.history > 0 {
			r = r<<8 | uint64(m.version)
		}
		return r
	}
	at := [masters]int{0, 1, 2} // new slot to old
	slices.SortStableFunc(at[:], func(a, b int) int { return cmp.Compare(rank(&w.m[a]), rank(&w.m[b])) })
	if at == [masters]int{0, 1, 2} {
		return
	}
	var to [masters]int
	for now, before := range at {
		to[before] = now
	}
	id := func(v uint8) uint8 {
		if v == 0 || v > masters {
			return v
		}
		return uint8(to[v-1]) + 1 // a founder's id is its slot's
	}
	old := *w
	for now, before := range at {
		m := old.m[before]
		m.id, m.added = id(m.id), id(m.added)
		for j, other := range at {
			m.answers[j], m.asked[j] = old.m[before].answers[other], old.m[before].asked[other]
			m.lines[j], m.offers[j] = old.m[before].lines[other], old.m[before].offers[other]
		}
		w.m[now] = m
		for v := range w.configs {
			p := old.configs[v][before]
			w.configs[v][now] = place(id(p.id())) | p&(isLearner|isStarted)
		}
	}
	if w.apart > 0 && w.apart <= masters {
		w.apart = uint8(to[w.apart-1]) + 1
	}
}

// plain gives states that differ in nothing that matters the same form, so that the
// search meets them once: answers that no decision looks at, versions that nobody
// refers to, and the numbers of members.
func (w *world) plain() {
	for i := range w.m {
		m := &w.m[i]
		if m.held == Data {
			m.placedFor = 0
		}
		for j := range m.answers {
			if w.restore {
				break // who has data of what matters
			}
			switch {
			case m.held == Data: // it looks at the list alone
				m.answers[j] = Silent
			case m.view > 0 && m.answers[j] != Serving: // only voters that do not serve matter
				m.answers[j] = Silent
			case m.answers[j] == Serving && m.view == 0:
				m.answers[j] = Holding
			}
		}
	}
	if w.history == 0 {
		return
	}
	var used [versions]bool
	w.refer(func(v uint8) uint8 { used[v] = true; return v })
	var to [versions]uint8
	var configs [versions]configuration
	n := uint8(0)
	for v := range used {
		if used[v] {
			to[v], configs[n] = n, w.configs[v]
			n++
		}
	}
	w.configs = configs
	w.refer(func(v uint8) uint8 { return to[v] })
	var ids [64]uint8
	w.next = masters + 1
	name := func(id uint8) uint8 {
		if id > masters && ids[id] == 0 {
			ids[id] = w.next
			w.next++
		}
		if id <= masters {
			return id
		}
		return ids[id]
	}
	for v := range n {
		for i, p := range w.configs[v] {
			w.configs[v][i] = place(name(p.id())) | p&(isLearner|isStarted)
		}
	}
	for i := range w.m {
		w.m[i].id, w.m[i].added = name(w.m[i].id), name(w.m[i].added)
	}
}

// refer visits every version that somebody refers to.
func (w *world) refer(visit func(v uint8) uint8) {
	w.committed = visit(w.committed)
	for i := range w.m {
		m := &w.m[i]
		if m.history > 0 {
			m.version = visit(m.version)
		}
		if m.view > 0 {
			m.view = visit(m.view-1) + 1
		}
		if m.etcd() == placedLearner && m.held != Data {
			m.placedFor = visit(m.placedFor)
		}
	}
}
