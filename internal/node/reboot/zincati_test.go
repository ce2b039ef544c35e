package reboot

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// zincati asks as Fedora CoreOS's update agent does: a POST below a base URL that ends
// in a slash, one header, a body of two members and no type; whatever is not of the
// two hundreds is a no, with the kind that its body names, or one made of its status.
type zincati struct {
	t     *testing.T
	base  string
	group string
}

func (z zincati) ask(endpoint string) (yes bool, kind string) {
	z.t.Helper()
	base, err := url.Parse(z.base + "/")
	if err != nil {
		z.t.Fatal(err)
	}
	body, err := json.MarshalIndent(map[string]any{"client_params": map[string]string{"id": "c988d2509fdf4cdcbed39037c56406fb", "group": z.group}}, "", "  ")
	if err != nil {
		z.t.Fatal(err)
	}
	return z.send(http.MethodPost, base.JoinPath("v1", endpoint).String(), "true", string(body))
}

func (z zincati) send(method, to, header, body string) (yes bool, kind string) {
	z.t.Helper()
	req, err := http.NewRequestWithContext(z.t.Context(), method, to, strings.NewReader(body))
	if err != nil {
		z.t.Fatal(err)
	}
	req.Header.Set("fleet-lock-protocol", header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		z.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		z.t.Fatal(err)
	}
	if resp.StatusCode/100 == 2 {
		return true, ""
	}
	var said struct{ Kind, Value *string }
	if json.Unmarshal(data, &said) != nil || said.Kind == nil || said.Value == nil {
		return false, fmt.Sprintf("generic_http_%d", resp.StatusCode)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" || *said.Value == "" {
		z.t.Errorf("%s: a refusal of type %q without a reason: %s", to, got, data)
	}
	return false, *said.Kind
}

// What is no request of the protocol gets a no that the agent can read, and is not
// taken for a wish to reboot, even while the node may.
func TestStrangersToFleetLock(t *testing.T) {
	a := &agent{now: func() time.Time { return at(0) }}
	a.learn(true, at(10))
	server := httptest.NewServer(a.handler())
	t.Cleanup(server.Close)
	z := zincati{t: t, base: server.URL}
	const whole = `{"client_params": {"id": "a", "group": "default"}}`
	for _, c := range []struct{ method, path, header, body, kind string }{
		{http.MethodPost, "/v1/pre-reboot", "", whole, "bad_request"},
		{http.MethodPost, "/v1/pre-reboot", "1", whole, "bad_request"},
		{http.MethodPost, "/v1/steady-state", "", whole, "bad_request"},
		{http.MethodPost, "/v1/pre-reboot", "true", "", "bad_request"},
		{http.MethodPost, "/v1/pre-reboot", "true", `{"client_params": {"group": "default"}}`, "bad_request"},
		{http.MethodPost, "/v1/pre-reboot", "true", `{"client_params": {"id": "a"}}`, "bad_request"},
		{http.MethodPost, "/v1/pre-reboot", "true", `{"client_params": {"id": "a", "group": "no group"}}`, "bad_request"},
		{http.MethodPost, "/v1/pre-reboot", "true", `{"client_params": {"id": 7, "group": "default"}}`, "bad_request"},
		{http.MethodPost, "/v1/pre-reboot", "true", strings.Repeat(" ", 5000) + whole, "bad_request"},
		{http.MethodGet, "/v1/pre-reboot", "true", whole, "generic_http_405"},
		{http.MethodPost, "/v1/prereboot", "true", whole, "generic_http_404"},
		{http.MethodPost, "/", "true", whole, "generic_http_404"},
	} {
		if yes, kind := z.send(c.method, server.URL+c.path, c.header, c.body); yes || kind != c.kind {
			t.Errorf("%s %s, header %q, %.60s: %v %q, want %q", c.method, c.path, c.header, c.body, yes, kind, c.kind)
		}
	}
	if a.waits() {
		t.Error("a stranger is taken for the agent")
	}
	if yes, kind := z.send(http.MethodPost, server.URL+"/v1/pre-reboot", "true", whole); !yes || !a.waits() {
		t.Errorf("the agent itself: %v %q", yes, kind)
	}
}

// A machine of Fedora CoreOS with an update staged at half past three asks every five
// minutes. It is let go inside its window and nowhere else, after it was drained, and
// may look for the next update when it is uncordoned.
func TestZincatiGoesInsideTheWindow(t *testing.T) {
	r := newRig(t)
	r.now = at(-30)
	boot := func(id string) (*own, zincati) {
		root := t.TempDir()
		path := filepath.Join(root, bootPath)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(id+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		w, err := newOwn(Options{Root: root, Now: func() time.Time { return r.now }}, "worker-1")
		if err != nil {
			t.Fatal(err)
		}
		w.client = r.masters.client
		server := httptest.NewServer(w.agent.handler())
		t.Cleanup(server.Close)
		return w, zincati{t: t, base: server.URL, group: "default"}
	}
	w, z := boot("old")
	if yes, kind := z.ask("steady-state"); yes || kind != "not_now" {
		t.Errorf("steady before the Node was read: %v %q", yes, kind)
	}
	minute := func() {
		w.look(t.Context())
		for range 6 {
			r.masters.look(t.Context())
		}
		w.look(t.Context())
		r.now = r.now.Add(time.Minute)
	}
	minute()
	if yes, kind := z.ask("steady-state"); !yes {
		t.Errorf("steady, and nothing is left of an earlier turn: %q", kind)
	}
	for yes, kind := z.ask("pre-reboot"); !yes; yes, kind = z.ask("pre-reboot") {
		if kind != "not_now" || r.now.After(at(60)) {
			t.Fatalf("at %s: %q", r.now, kind)
		}
		for range 5 {
			minute()
		}
	}
	if open, shut := at(0), at(30); r.now.Before(open) || !r.now.Before(shut) {
		t.Errorf("it is let go at %s, its window is from %s to %s", r.now, open, shut)
	}
	var m machine
	if err := r.masters.client.Get(t.Context(), nodeRef("worker-1"), &m); err != nil || !m.Spec.Unschedulable {
		t.Errorf("it was not cordoned before: %v, %v", m, err)
	}
	notes := map[string]any{}
	for key, value := range m.Metadata.Annotations {
		notes[key] = value
	}
	r.node("worker-1", "new", true, notes)
	w, z = boot("new")
	w.look(t.Context())
	if yes, kind := z.ask("steady-state"); yes || kind != "not_now" {
		t.Errorf("steady while its turn lasts: %v %q", yes, kind)
	}
	minute()
	if yes, kind := z.ask("steady-state"); !yes {
		t.Errorf("steady once its turn has ended: %q", kind)
	}
	if yes, _ := z.ask("pre-reboot"); yes {
		t.Error("the last boot's turn lets this one go")
	}
}
