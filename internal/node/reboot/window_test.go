package reboot

import (
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
)

// Windows open in their own time zone, on the days they name, and may cross midnight
// and a change of clocks.
func TestWindows(t *testing.T) {
	daily := artifact.ClusterWindow{Start: "04:08", Minutes: 20}
	thursday := artifact.ClusterWindow{Start: "04:08", Minutes: 20, Days: []string{"Thu"}}
	late := artifact.ClusterWindow{Start: "23:50", Minutes: 30, Days: []string{"Sat"}}
	skipped := artifact.ClusterWindow{Start: "02:30", Minutes: 60}
	twice := artifact.ClusterWindow{Start: "02:30", Minutes: 30}
	for _, c := range []struct {
		window    artifact.ClusterWindow
		zone, now string
		closes    string // empty: it is not open
	}{
		{daily, "UTC", "2026-11-19T04:07:59Z", ""},
		{daily, "UTC", "2026-11-19T04:08:00Z", "2026-11-19T04:28:00Z"},
		{daily, "UTC", "2026-11-19T04:27:59Z", "2026-11-19T04:28:00Z"},
		{daily, "UTC", "2026-11-19T04:28:00Z", ""},
		{daily, "Europe/Paris", "2026-11-19T04:10:00Z", ""},
		{daily, "Europe/Paris", "2026-11-19T03:10:00Z", "2026-11-19T03:28:00Z"},
		{daily, "Europe/Paris", "2026-07-16T02:10:00Z", "2026-07-16T02:28:00Z"}, // summer
		{daily, "Asia/Kolkata", "2026-11-19T22:40:00Z", "2026-11-19T22:58:00Z"}, // the next day there
		{thursday, "UTC", "2026-11-19T04:10:00Z", "2026-11-19T04:28:00Z"},
		{thursday, "UTC", "2026-11-20T04:10:00Z", ""},
		{thursday, "Asia/Kolkata", "2026-11-18T22:40:00Z", "2026-11-18T22:58:00Z"},
		{thursday, "Asia/Kolkata", "2026-11-19T22:40:00Z", ""},
		{late, "UTC", "2026-11-21T23:55:00Z", "2026-11-22T00:20:00Z"},
		{late, "UTC", "2026-11-22T00:19:00Z", "2026-11-22T00:20:00Z"}, // Sunday, of Saturday's
		{late, "UTC", "2026-11-22T23:55:00Z", ""},
		{late, "UTC", "2026-11-21T00:10:00Z", ""}, // Friday's would be
		{skipped, "Europe/Paris", "2026-03-29T01:40:00Z", "2026-03-29T02:30:00Z"},
		{twice, "Europe/Paris", "2026-10-25T00:40:00Z", ""}, // an hour that comes twice opens it once
		{twice, "Europe/Paris", "2026-10-25T01:40:00Z", "2026-10-25T02:00:00Z"},
		{artifact.ClusterWindow{Start: "nonsense", Minutes: 60}, "UTC", "2026-11-19T04:10:00Z", ""},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if end, open := closes(c.window, zone, now); open {
			got = end.UTC().Format(time.RFC3339)
		}
		if got != c.closes {
			t.Errorf("%+v in %s at %s closes %q, want %q", c.window, c.zone, c.now, got, c.closes)
		}
	}
}
