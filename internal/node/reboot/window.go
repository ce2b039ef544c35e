package reboot

import (
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // a node may lack the table of time zones

	"github.com/imgforge/imgforge/internal/artifact"
)

// closes returns when the window that is open now closes. Days name the day on which
// a window opens; one that crosses midnight closes on the next.
func closes(w artifact.ClusterWindow, zone *time.Location, now time.Time) (end time.Time, open bool) {
	var hour, minute int
	if _, err := fmt.Sscanf(w.Start, "%d:%d", &hour, &minute); err != nil {
		return time.Time{}, false
	}
	year, month, day := now.In(zone).Date()
	for _, before := range []int{0, 1} {
		start := time.Date(year, month, day-before, hour, minute, 0, 0, zone)
		end := start.Add(time.Duration(w.Minutes) * time.Minute)
		// Where clocks go forward, the hour that is left out belongs to the same day.
		weekday := time.Date(year, month, day-before, 12, 0, 0, 0, zone).Weekday().String()[:3]
		if len(w.Days) > 0 && !slices.Contains(w.Days, weekday) {
			continue
		}
		if !now.Before(start) && now.Before(end) {
			return end, true
		}
	}
	return time.Time{}, false
}
