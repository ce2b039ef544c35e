package reboot

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The agent is answered in FleetLock's words: yes while the node may go, and what
// else is asked for is no request.
func TestFleetLock(t *testing.T) {
	now := at(0)
	a := &agent{now: func() time.Time { return now }}
	server := httptest.NewServer(a.handler())
	t.Cleanup(server.Close)
	ask := func(path, header, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("fleet-lock-protocol", header)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(data)
	}
	const zincati = `{"client_params":{"id":"c988d2509fdf4cdcbed39037c56406fb","group":"default"}}`
	for _, bad := range [][3]string{{"/v1/pre-reboot", "", zincati}, {"/v1/pre-reboot", "true", "{}"}, {"/v1/pre-reboot", "true", "nonsense"},
		{"/v1/pre-reboot", "true", `{"client_params":{"id":"","group":"default"}}`}, {"/v1/pre-reboot", "true", strings.Repeat(" ", 5000) + zincati}} {
		if status, _ := ask(bad[0], bad[1], bad[2]); status != http.StatusBadRequest || a.waits() {
			t.Errorf("%.60v: %d, asked: %v", bad, status, a.waits())
		}
	}
	if status, text := ask("/v1/steady-state", "true", zincati); status != http.StatusConflict || !strings.Contains(text, `"kind":"not_now"`) {
		t.Errorf("before the Node was read: %d %s", status, text)
	}
	if status, text := ask("/v1/pre-reboot", "true", zincati); status != http.StatusConflict || !strings.Contains(text, `"value":"it is not this node's turn to reboot"`) || !a.waits() {
		t.Errorf("not its turn: %d %s", status, text)
	}
	a.learn(true, at(10))
	for path, want := range map[string]int{"/v1/pre-reboot": http.StatusOK, "/v1/steady-state": http.StatusOK, "/v1/other": http.StatusNotFound} {
		if status, _ := ask(path, "true", zincati); status != want {
			t.Errorf("%s in its turn: %d", path, status)
		}
	}
	now = at(10)
	if status, _ := ask("/v1/pre-reboot", "true", zincati); status != http.StatusConflict {
		t.Errorf("after its turn: %d", status)
	}
	if now = at(23); a.waits() {
		t.Error("an agent that no longer asks is taken to wait")
	}
}
