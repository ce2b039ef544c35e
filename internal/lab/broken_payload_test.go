package lab

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// One file changes, in whatever way its contents were spelled; all else stays.
func TestReplaceFile(t *testing.T) {
	const payload = `{"ignition":{"version":"3.4.0"},"storage":{"files":[` +
		`{"path":"/plain","mode":384,"contents":{"source":"data:,a%20b%0A"}},` +
		`{"path":"/packed","contents":{"compression":"gzip","source":"data:;base64,H4sIAAAAAAAAA0tUSOICAKHpjS0EAAAA"}},` +
		`{"path":"/fetched","contents":{"source":"https://example.org/a"}},{"path":"/empty"}]}}`
	for _, path := range []string{"/plain", "/packed"} {
		if got, err := payloadFile([]byte(payload), path); err != nil || string(got) != "a b\n" {
			t.Errorf("%s holds %q, %v", path, got, err)
		}
	}
	wrapped, err := json.Marshal(map[string]any{"ignition": map[string]any{"version": "3.4.0", "config": map[string]any{
		"replace": map[string]any{"source": "data:;base64," + base64.StdEncoding.EncodeToString([]byte(payload))}}}})
	if err != nil {
		t.Fatal(err)
	}
	changed, err := replaceFile(wrapped, "/plain", func(old []byte) ([]byte, error) { return append(old, "c,%"...), nil })
	if err != nil {
		t.Fatal(err)
	}
	if got, err := payloadFile(changed, "/plain"); err != nil || string(got) != "a b\nc,%" {
		t.Errorf("the changed /plain holds %q, %v", got, err)
	}
	for _, same := range []string{`"mode":384`, `"version":"3.4.0"`, `"source":"https://example.org/a"`, `"compression":"gzip"`} {
		if !strings.Contains(string(changed), same) {
			t.Errorf("%s is gone from %s", same, changed)
		}
	}
	upper := func(old []byte) ([]byte, error) { return []byte(strings.ToUpper(string(old))), nil }
	for path, want := range map[string]string{
		"/none": "writes nothing at /none", "/empty": "writes nothing at /empty", "/fetched": "not in the payload",
	} {
		if _, err := replaceFile([]byte(payload), path, upper); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", path, err, want)
		}
	}
	keep := func(old []byte) ([]byte, error) { return old, nil }
	if _, err := replaceFile([]byte(payload), "/plain", keep); err == nil || !strings.Contains(err.Error(), "changes nothing") {
		t.Errorf("a change that is none: %v", err)
	}
	refuse := func([]byte) ([]byte, error) { return nil, errors.New("cannot") }
	if _, err := replaceFile([]byte(payload), "/plain", refuse); err == nil {
		t.Error("a change that fails passes")
	}
}
