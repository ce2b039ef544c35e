package publicip

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/testtool"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// words keeps what a run says.
type words struct{ failed map[int]string }

func (w *words) Failed(f *bootcode.Failure) { w.failed[f.Code.Number] = f.Error() }
func (w *words) Waiting(string, string)     {}
func (w *words) Done(string, string)        {}

const key = "22222222-2222-4222-8222-222222222222"

// asked is a run that knows its server, on a node that keepalived made master, against
// an API that answers everything with this.
func asked(t *testing.T, w *words, status int, body string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("X-Auth-Token"); got != key {
			t.Errorf("the key is %q", got)
		}
		out.Header().Set("Content-Type", "application/json")
		out.WriteHeader(status)
		fmt.Fprint(out, body)
	}))
	defer server.Close()
	const loopback = "127.0.0.1" // an address that this machine holds
	f := artifact.PublicIPFile{Provider: "scaleway", Zone: "fr-par-1", Address: loopback, Proxies: order[:], Key: key + "\n"}
	at, err := newProvider(f, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	at.self = "one"
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(root, vrrpFile)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, vrrpFile), []byte(`{"state":"MASTER"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	m := &mover{Options: Options{Root: root, Report: w, Pace: defaultPace()}, file: f, self: "proxy-1", address: netip.MustParseAddr(loopback), at: at}
	s := m.listen()
	m.claimed = false
	if _, err := m.try(t.Context(), s); err != nil {
		m.complain(err)
	}
}

// The key goes to the API alone, wherever an answer points.
func TestKeyFollowsNoRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("somebody else is asked, with the key %q", r.Header.Get("X-Auth-Token"))
	}))
	defer elsewhere.Close()
	api := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer api.Close()
	at, err := newProvider(artifact.PublicIPFile{Provider: "scaleway", Zone: "fr-par-1", Address: "192.0.2.1", Key: key}, api.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := at.holder(t.Context()); err == nil {
		t.Error("a redirect is an answer")
	}
}

// Every code has one golden text, made by what causes it.
func TestEveryCodeHasItsText(t *testing.T) {
	w := &words{map[int]string{}}
	asked(t, w, http.StatusInternalServerError, `{"message": "internal error"}`)
	asked(t, w, http.StatusForbidden, `{"type": "permissions_denied", "message": "insufficient permissions", "details": []}`)
	asked(t, w, http.StatusOK, `{"ip": {"id": "x", "server": {"id": "two", "name": "bastion"}}, "server": {"id": "two", "name": "bastion"}}`)
	root := t.TempDir()
	w.failed[bootcode.PublicIPUnable] = strings.ReplaceAll(Run(t.Context(), Options{Root: root}).Error(), root, "")
	for _, c := range bootcode.All() {
		if c.Step != step.PublicIP {
			continue
		}
		got := w.failed[c.Number] + "\n"
		if !strings.Contains(got, fmt.Sprintf(" %d %s in step public-ip: ", c.Number, c.Name)) || strings.Contains(got, key) {
			t.Errorf("code %d was not provoked, or gives the key away:\n%s", c.Number, got)
		}
		testtool.BootCode(t, c, got, *update)
	}
}
