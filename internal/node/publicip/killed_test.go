package publicip

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
)

// move is one way to begin, and how it is to end for proxy-1.
type move struct {
	name  string
	state state  // what VRRP has made of proxy-1
	from  string // who has the address; "" for nobody
	end   string // and in the end
	says  string // what proxy-1 says once it has nothing more to do
}

func moves() []move {
	return []move{
		{"from nobody", master, "", "proxy-1", "which is master"},
		{"from the other proxy", master, "proxy-2", "proxy-1", "which is master"},
		{"from another server", master, "bastion", "proxy-1", "which is master"},
		{"where it is already", master, "proxy-1", "proxy-1", "which is master"},
		{"let go", "BACKUP", "proxy-1", "", "attached to no server"},
	}
}

// scene is a provider and proxy-1, whose helper may be started more than once.
type scene struct {
	move
	api  *fake.API
	url  string
	self string // ID of proxy-1's server
	root string
	at   string // the address
}

func newScene(t *testing.T, m move) *scene {
	t.Helper()
	s := &scene{move: m, api: fake.New(), root: t.TempDir()}
	s.at, s.self = s.api.Reserve(), s.api.Stranger("proxy-1")
	s.api.Stranger("proxy-2")
	s.api.Stranger("bastion")
	s.api.Attach(s.at, m.from)
	server := httptest.NewServer(s.api)
	t.Cleanup(server.Close)
	s.url = server.URL
	path := filepath.Join(s.root, vrrpFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, `{"state":%q}`, m.state), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs a helper anew until ctx ends or it has nothing more to do. It knows which
// server it is on; a call that nobody answers ends soon.
func (s *scene) start(ctx context.Context) error {
	f := artifact.PublicIPFile{Provider: "scaleway", Zone: string(fake.Zone), Address: s.at, Proxies: order[:], Key: fake.SecretKey}
	at, err := newProvider(f, s.url)
	if err != nil {
		return err
	}
	at.self, at.http.Timeout = s.self, 300*time.Millisecond
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	done := &ending{says: s.says, stop: stop}
	// The master holds an address of this machine.
	m := &mover{Options: Options{Root: s.root, Report: done, Pace: Pace{Master: time.Second, Other: time.Second, Grace: time.Millisecond}},
		file: f, self: "proxy-1", address: netip.MustParseAddr("127.0.0.1"), at: at, claimed: true}
	for ctx.Err() == nil {
		m.settle(ctx)
	}
	if strings.Contains(done.words, fake.SecretKey) {
		return fmt.Errorf("the key was said:\n%s", done.words)
	}
	if !done.said {
		return fmt.Errorf("it was never done:\n%s", done.words)
	}
	return nil
}

// ending stops a run when it says that all is well.
type ending struct {
	says, words string
	said        bool
	stop        func()
}

func (e *ending) Failed(f *bootcode.Failure) { e.words += f.Error() + "\n" }
func (e *ending) Waiting(_, why string)      { e.hear(why) }
func (e *ending) Done(_, what string)        { e.hear(what) }

func (e *ending) hear(text string) {
	e.words += text + "\n"
	if strings.Contains(text, e.says) {
		e.said = true
		e.stop()
	}
}

// judge tells whether the address is where it belongs, moved no more often than needed.
func (s *scene) judge() error {
	least := 1
	if s.from == s.end {
		least = 0
	}
	if got, n := s.api.Holder(s.at), s.api.Moves(); got != s.end || n != least {
		return fmt.Errorf("it is at %q after %d moves, not at %q after %d", got, n, s.end, least)
	}
	return nil
}

// calls is how many a helper makes that nothing stops.
func calls(t *testing.T, m move) int {
	t.Helper()
	s := newScene(t, m)
	if err := s.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.judge(); err != nil {
		t.Fatal(err)
	}
	return s.api.Calls()
}

// Every call goes wrong in every way, and the helper is killed at every call, before or
// after it had its effect, and started anew: the address ends where it does otherwise.
func TestMoveThroughEveryFault(t *testing.T) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, m := range moves() {
		last := calls(t, m)
		t.Logf("%s: %d calls", m.name, last)
		for n := 1; n <= last; n++ {
			for name, fault := range fake.Faults() {
				s := newScene(t, m)
				s.api.Fault, s.api.Lag = only(n, fault), n%3 // where the address was may be told for a while
				all.Go(func() { s.ends(t, fmt.Sprintf("%s at call %d", name, n), s.start(t.Context())) })
			}
			for _, fault := range []fake.Fault{fake.Silent, fake.SilentAfter} {
				s := newScene(t, m)
				s.api.Lag = n % 3
				all.Go(func() { s.ends(t, fmt.Sprintf("killed at call %d", n), s.killedAt(t.Context(), n, fault)) })
			}
		}
	}
}

// ends judges an attempt.
func (s *scene) ends(t *testing.T, what string, err error) {
	if err == nil {
		err = s.judge()
	}
	if err != nil {
		t.Errorf("%s, %s: %v", s.name, what, err)
	}
}

// only lets one call go wrong.
func only(n int, fault fake.Fault) func(int, *http.Request) fake.Fault {
	return func(call int, _ *http.Request) fake.Fault {
		if call == n {
			return fault
		}
		return fake.None
	}
}

// killedAt ends the first helper while call n is under way, and starts another.
func (s *scene) killedAt(ctx context.Context, n int, fault fake.Fault) error {
	first, kill := context.WithCancel(ctx)
	defer kill()
	s.api.Fault = func(call int, _ *http.Request) fake.Fault {
		if call != n {
			return fake.None
		}
		if fault == fake.Silent { // whoever is killed after the work is killed while he waits for the answer
			kill()
		} else {
			time.AfterFunc(100*time.Millisecond, kill)
		}
		return fault
	}
	if err := s.start(first); err == nil {
		return fmt.Errorf("it was not killed")
	}
	return s.start(ctx)
}
