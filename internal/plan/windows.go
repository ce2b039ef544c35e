package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/report"
	"github.com/imgforge/imgforge/internal/spec"
)

// Window is the node's own part of its role's reboot window.
type Window struct {
	Start    string   `json:"start"`  // HH:MM
	Length   string   `json:"length"` // Go duration, whole minutes: 15m0s
	Minutes  int      `json:"minutes"`
	Days     []string `json:"days,omitempty"` // at most one; empty: every day
	Timezone string   `json:"timezone"`
}

// minimumPart is the shortest part of a reboot window that a node gets, in
// minutes: a reboot, an image import and a node that becomes Ready again.
const minimumPart = 15

const minutesPerDay = 24 * 60

// weekdays is the week in the order in which windows are dealt.
func weekdays() []string { return []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"} }

// part is one node's share of a window: minutes from midnight of a day of the
// week (0 is Monday), or of every day when day is -1.
type part struct{ day, start, length int }

// divide splits a window of length minutes that opens at start among n nodes so
// that no two parts overlap. Without days, and with room for all in one, every
// node has its part daily. Otherwise days are dealt round robin, one to a node, and
// each day's window is divided among its nodes. The result is nil when a part would
// be shorter than minimumPart.
func divide(start, length, n int, days []int) []part {
	if n == 0 || length <= 0 || length >= minutesPerDay {
		return nil
	}
	out := make([]part, n)
	if len(days) == 0 && n*minimumPart <= length {
		for i := range out {
			out[i] = part{day: -1, start: (start + i*(length/n)) % minutesPerDay, length: length / n}
		}
		return out
	}
	if len(days) == 0 {
		days = []int{0, 1, 2, 3, 4, 5, 6}
	}
	perDay := (n + len(days) - 1) / len(days)
	each := length / perDay
	if each < minimumPart {
		return nil
	}
	for i := range out {
		at := start + i/len(days)*each // past midnight it is the next day's morning
		out[i] = part{day: (days[i%len(days)] + at/minutesPerDay) % 7, start: at % minutesPerDay, length: each}
	}
	return out
}

// setWindows divides each role's reboot window among all its slots.
func setWindows(c *spec.Cluster, sizes []roleSize, nodes []Node, r *report.Report) {
	for _, s := range sizes {
		if s.spec.Reboot == nil || s.slots == 0 {
			continue
		}
		start, length, days, err := parseWindow(*s.spec.Reboot)
		if err != nil {
			r.Add(report.Problem{Path: "roles." + s.name + ".reboot", Message: err.Error(), Fix: `write start as "04:00", length as 1h, days as [Mon, Thu]`})
			continue
		}
		parts := divide(start, length, s.slots, days)
		if parts == nil {
			r.Add(tooShort(s, length, len(days)))
			continue
		}
		for i := range nodes {
			if n := &nodes[i]; n.Role == s.name {
				n.Window = windowOf(parts[n.Slot-1], c.Timezone)
			}
		}
	}
}

func windowOf(p part, timezone string) *Window {
	w := &Window{
		Start:   fmt.Sprintf("%02d:%02d", p.start/60, p.start%60),
		Length:  (time.Duration(p.length) * time.Minute).String(),
		Minutes: p.length, Timezone: timezone,
	}
	if p.day >= 0 {
		w.Days = []string{weekdays()[p.day]}
	}
	return w
}

// parseWindow reads a window as minutes and days of the week. The order of days
// in the file carries no meaning.
func parseWindow(w spec.Window) (start, length int, days []int, err error) {
	clock, err := time.Parse("15:04", w.Start)
	if err != nil {
		return 0, 0, nil, fmt.Errorf("start %q is not a time of day", w.Start)
	}
	d, err := time.ParseDuration(w.Length)
	if err != nil {
		return 0, 0, nil, fmt.Errorf("length %q is not a duration", w.Length)
	}
	for _, day := range w.Days {
		i := slices.Index(weekdays(), day)
		if i < 0 {
			return 0, 0, nil, fmt.Errorf("%q is not a day", day)
		}
		days = append(days, i)
	}
	slices.Sort(days)
	return clock.Hour()*60 + clock.Minute(), int(d / time.Minute), slices.Compact(days), nil
}

// tooShort says which length, and which number of days, would hold the nodes.
func tooShort(s roleSize, length, days int) report.Problem {
	most, given := 7, "every day"
	if days > 0 {
		most, given = days, fmt.Sprintf("on %d of 7 days", days)
	}
	p := report.Problem{
		Path: "roles." + s.name + ".reboot.length",
		Message: fmt.Sprintf("%s %s is too short for %d slots (the reserve included) of %d minutes each, no two at once",
			minutes(length), given, s.slots, minimumPart),
	}
	if needed := (s.slots + most - 1) / most * minimumPart; needed < minutesPerDay {
		p.Fix = "write a length of at least " + minutes(needed)
	}
	if perDay := length / minimumPart; days > 0 && perDay > 0 && (s.slots+perDay-1)/perDay <= 7 {
		if p.Fix != "" {
			p.Fix += ", or "
		}
		p.Fix += fmt.Sprintf("give it %d days", (s.slots+perDay-1)/perDay)
	}
	if p.Fix == "" {
		p.Fix = fmt.Sprintf("remove roles.%s.reboot, or lower the role's count and reserve: a whole week holds at most %d slots", s.name, (minutesPerDay-1)/minimumPart*7)
	}
	return p
}

// minutes is a length as a cluster file has it: 1h30m.
func minutes(n int) string {
	text := strings.TrimSuffix((time.Duration(n) * time.Minute).String(), "0s")
	if n > 0 && n%60 == 0 {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
