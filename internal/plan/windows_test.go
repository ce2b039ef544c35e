package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/spec"
)

// schedule prints the parts of a window as a reader would check them.
func schedule(t *testing.T, role string, slots int, w spec.Window) string {
	t.Helper()
	start, length, days, err := parseWindow(w)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %ss, start %s, length %s, days %v\n", slots, role, w.Start, w.Length, w.Days)
	parts := divide(start, length, slots, days)
	for i, p := range parts {
		w := windowOf(p, "UTC")
		fmt.Fprintf(&b, "%s-%-3d %-9s %s + %s\n", role, i+1, dayText(w.Days), w.Start, w.Length)
	}
	if parts == nil {
		problem := tooShort(roleSize{name: role, slots: slots}, length, len(days))
		fmt.Fprintf(&b, "%s\n", problem)
	}
	b.WriteString("\n")
	return b.String()
}

func dayText(days []string) string {
	if len(days) == 0 {
		return "every day"
	}
	return strings.Join(days, ",")
}

func TestWindows(t *testing.T) {
	few := []spec.Window{
		{Start: "04:00", Length: "1h"},
		{Start: "04:00", Length: "1h", Days: []string{"Mon", "Tue", "Wed", "Thu"}},
		{Start: "23:40", Length: "1h", Days: []string{"Sat", "Sun"}},
		{Start: "22:00", Length: "3h30m"},
		{Start: "05:00", Length: "23h59m", Days: []string{"Wed"}},
		{Start: "04:00", Length: "20m"},
		{Start: "04:00", Length: "20m", Days: []string{"Thu", "Mon"}},
		{Start: "04:00", Length: "10m"},
	}
	many := []spec.Window{
		{Start: "05:00", Length: "4h"},
		{Start: "20:00", Length: "13h", Days: []string{"Sun", "Sat"}},
		{Start: "05:00", Length: "1h"},
		{Start: "05:00", Length: "23h59m", Days: []string{"Wed"}},
	}
	for name, tc := range map[string]struct {
		role    string
		slots   int
		windows []spec.Window
	}{
		"windows-3.txt":   {Master, 3, few},
		"windows-5.txt":   {Master, 5, few},
		"windows-100.txt": {Worker, 100, many},
	} {
		var b strings.Builder
		for _, w := range tc.windows {
			b.WriteString(schedule(t, tc.role, tc.slots, w))
		}
		golden(t, name, []byte(strings.TrimSuffix(b.String(), "\n")))
	}
}

func TestNoWindowHoldsAThousandWorkers(t *testing.T) {
	p := tooShort(roleSize{name: Worker, slots: 1000}, 23*60+59, 0)
	if !strings.Contains(p.Fix, "at most 665 slots") {
		t.Errorf("the fix promises a length that cannot be: %s", p.Fix)
	}
}

const minutesPerWeek = 7 * minutesPerDay

// week says of every minute which node has it: -1 closed, 0 open, from 1 a node.
type week [minutesPerWeek]int

// openOn opens a window on days, or on all.
func openOn(start, length int, days []int) *week {
	var w week
	for m := range w {
		w[m] = -1
	}
	if len(days) == 0 {
		days = []int{0, 1, 2, 3, 4, 5, 6}
	}
	for _, d := range days {
		for m := range length {
			w[(d*minutesPerDay+start+m)%minutesPerWeek] = 0
		}
	}
	return &w
}

// take gives a part to a node and refuses minutes that are closed or taken.
func (w *week) take(node int, p part) error {
	days := []int{p.day}
	if p.day < 0 {
		days = []int{0, 1, 2, 3, 4, 5, 6}
	}
	for _, d := range days {
		for m := range p.length {
			at := (d*minutesPerDay + p.start + m) % minutesPerWeek
			if w[at] != 0 {
				return fmt.Errorf("node %d with %+v wants minute %d of the week, which is %d (-1: closed)", node, p, at, w[at])
			}
			w[at] = node
		}
	}
	return nil
}

// FuzzDivide holds the division against the week, minute by minute.
func FuzzDivide(f *testing.F) {
	f.Add(240, 60, 3, uint8(0))
	f.Add(240, 60, 5, uint8(0b1111))
	f.Add(1430, 90, 13, uint8(0b1100000))
	f.Add(0, 1439, 665, uint8(0))
	f.Add(1439, 1439, 95, uint8(0b1000000))
	f.Add(1439, 1439, 200, uint8(0b1000001))
	f.Fuzz(func(t *testing.T, start, length, n int, mask uint8) {
		if start < 0 || start >= minutesPerDay || length < 1 || length >= minutesPerDay || n < 1 || n > 1000 {
			return
		}
		var days []int
		for d := range 7 {
			if mask>>d&1 == 1 {
				days = append(days, d)
			}
		}
		parts := divide(start, length, n, days)
		if parts == nil {
			count := len(days)
			if count == 0 {
				count = 7
			}
			if (n+count-1)/count*minimumPart <= length {
				t.Fatalf("%d nodes on %d days of %d minutes fit and were refused", n, count, length)
			}
			return
		}
		w := openOn(start, length, days)
		for i, p := range parts {
			if p.length < minimumPart || p.start < 0 || p.start >= minutesPerDay {
				t.Fatalf("node %d has %+v", i+1, p)
			}
			if err := w.take(i+1, p); err != nil {
				t.Fatal(err)
			}
		}
	})
}
