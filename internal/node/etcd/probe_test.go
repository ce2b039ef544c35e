package etcd

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asker is a master that asks and does nothing.
func asker(t *testing.T, m *master) *node {
	t.Helper()
	n, err := load(Options{Root: m.root, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.open(); err != nil {
		t.Fatal(err)
	}
	return n
}

// answering is a master that answers and does nothing.
func answering(t *testing.T, m *master) *node {
	t.Helper()
	n := asker(t, m)
	server, _, err := n.credentials()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.serve(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	return n
}

// What a master answers follows its disk at once, and everything that is not its
// own authenticated answer to this very question counts as silence.
func TestAnswersAreFreshAndAuthenticated(t *testing.T) {
	l := newLab(t, "", 3, 3)
	one, two := asker(t, l.node(1)), answering(t, l.node(2))
	slot := one.others[0]
	says := func(n *node) State { p, _ := n.ask(context.Background(), slot); return p.State }

	if got := says(one); got != Blank {
		t.Errorf("a new machine is %v", got)
	}
	for _, step := range []struct {
		past Past
		want State
	}{{Agreed, Willing}, {Joining, Lost}, {Member, Lost}} {
		if err := two.remember(step.past, 7); err != nil {
			t.Fatal(err)
		}
		if got := says(one); got != step.want {
			t.Errorf("past %d: it %v, want it %v", step.past, got, step.want)
		}
	}
	if err := two.remember(Agreed, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(two.path(dataPath), markName)); err != nil {
		t.Fatal(err)
	}
	if got := says(one); got != Lost {
		t.Errorf("a promise whose data folder is another one: it %v", got)
	}
	if err := os.WriteFile(two.path(memoryPath), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := says(one); got != Lost {
		t.Errorf("a damaged memory: it %v", got)
	}
	if got := says(asker(t, l.node(3))); got != Lost {
		t.Errorf("another asker hears that it %v", got)
	}

	stranger := newLab(t, "", 3, 3).node(1)
	_, config, err := (&node{o: Options{Root: stranger.root}}).credentials()
	if err != nil {
		t.Fatal(err)
	}
	one.http = newHTTP(config, time.Second)
	one.etcd.http = one.http
	if got := says(one); got != Silent {
		t.Errorf("under another authority: it %v", got)
	}
	one = asker(t, l.node(1))
	one.addresses[slot.Name] = l.node(3).address
	if got := says(one); got != Silent {
		t.Errorf("nobody at the address: it %v", got)
	}
	three := answering(t, l.node(3))
	if got := says(one); got != Silent {
		t.Errorf("another master at the address: it %v", got)
	}
	one = asker(t, l.node(1))
	three.token = "token-of-sulaco"
	if p, _ := one.ask(context.Background(), one.others[1]); p.Founding == one.line.id {
		t.Errorf("another cluster's master counts: %+v", p)
	}
}

// The listener answers one question, to those who have a leaf.
func TestListenerGivesNothingElseAway(t *testing.T) {
	l := newLab(t, "", 2, 2)
	one := asker(t, l.node(1))
	answering(t, l.node(2))
	base := "https://" + net.JoinHostPort(l.node(2).address, probePort)
	for _, tc := range []struct {
		method, path string
		want         int
	}{
		{"GET", probePath + "?nonce=0123456789abcdef", 200},
		{"GET", probePath, 400},
		{"GET", probePath + "?nonce=short", 400},
		{"GET", probePath + "?nonce=" + strings.Repeat("a", 65), 400},
		{"POST", probePath + "?nonce=0123456789abcdef", 405},
		{"GET", "/", 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, base+tc.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := one.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tc.want {
			t.Errorf("%s %s: %s %q %v, want %d", tc.method, tc.path, resp.Status, body, err, tc.want)
		}
	}
	bare := one.http.Transport.(*http.Transport).TLSClientConfig.Clone()
	bare.Certificates = nil
	if resp, err := newHTTP(bare, time.Second).Get(base + probePath + "?nonce=0123456789abcdef"); err == nil {
		resp.Body.Close()
		t.Errorf("without a leaf: %s", resp.Status)
	}
}
