package etcd

import "testing"

// What opens a URL is in no message.
func TestOpenly(t *testing.T) {
	for from, want := range map[string]string{
		"https://example.org/a.db.age?signature=secret": "https://example.org/a.db.age?…",
		"https://example.org/a.db.age":                  "https://example.org/a.db.age",
		"/var/lib/imgforge/snapshots/latest.db.age":     "/var/lib/imgforge/snapshots/latest.db.age",
	} {
		if got := openly(from); got != want {
			t.Errorf("%s: %s", from, got)
		}
	}
}
