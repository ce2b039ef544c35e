package snapshot

import (
	"fmt"
	"slices"
)

// Rule says which snapshots stay: whatever a part of it keeps.
type Rule struct {
	Last   int // the newest so many
	Daily  int // the newest of each of so many days, in UTC
	Weekly int // the newest of each of so many weeks from Monday to Sunday, in UTC
}

// Surplus are the names that a rule does not keep, from old to new. Days and weeks
// without a snapshot do not count, and the newest snapshot is never among them: when
// no more are taken, none is removed for its age.
func (r Rule) Surplus(names []Name) (out []Name) {
	names = slices.Clone(names)
	slices.SortFunc(names, func(a, b Name) int { return b.Compare(a) }) // the newest first
	days, weeks := map[string]bool{}, map[string]bool{}
	for i, n := range names {
		year, week := n.Time.UTC().ISOWeek()
		first := newest(days, n.Time.UTC().Format("20060102"), r.Daily)
		weekly := newest(weeks, fmt.Sprint(year, week), r.Weekly)
		if i > 0 && i >= r.Last && !first && !weekly {
			out = append(out, n)
		}
	}
	slices.Reverse(out)
	return out
}

// newest tells whether this is the first of its period, and the period one of so many.
func newest(seen map[string]bool, period string, most int) bool {
	if seen[period] || len(seen) >= most {
		return false
	}
	seen[period] = true
	return true
}
