package reboot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
)

// agentPath is there on systems whose agent asks before it reboots.
const agentPath = "/etc/zincati/config.d/55-updates-strategy.toml"

// asks is for how long an agent that asked is taken to wait: it asks every five minutes.
const asks = 12 * time.Minute

// agent answers Fedora CoreOS's zincati in its own language, FleetLock, on loopback:
// who may ask here is root's neighbour on this machine, and speaks of it alone.
type agent struct {
	now func() time.Time

	mu     sync.Mutex
	asked  time.Time // when it last wanted to reboot
	until  time.Time // it may
	steady bool      // nothing of an earlier turn is left on the node
}

// listen answers until ctx ends, where there is an agent.
func (w *own) listen(ctx context.Context) error {
	_, err := os.Stat(filepath.Join(w.o.Root, agentPath))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", artifact.FleetLockPort))
	if err != nil {
		return fmt.Errorf("listen for the system's own agent: %w", err)
	}
	server := &http.Server{Handler: w.agent.handler(), ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 8 << 10, ErrorLog: log.New(io.Discard, "", 0)}
	context.AfterFunc(ctx, func() { server.Close() })
	go server.Serve(l) // ends with Close
	return nil
}

func (a *agent) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/pre-reboot", a.answer(func() (yes bool, no string) {
		a.asked = a.now()
		return a.asked.Before(a.until), "it is not this node's turn to reboot"
	}))
	mux.HandleFunc("POST /v1/steady-state", a.answer(func() (yes bool, no string) {
		return a.steady, "this node's last turn has not ended"
	}))
	return mux
}

// answer says yes or no, in FleetLock's words. Its header is one that no page in a
// browser and no redirect can send.
func (a *agent) answer(judge func() (yes bool, no string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var sent struct {
			Client struct {
				ID    string `json:"id"`
				Group string `json:"group"`
			} `json:"client_params"`
		}
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&sent)
		if err != nil || r.Header.Get("fleet-lock-protocol") != "true" || sent.Client.ID == "" || !isGroup(sent.Client.Group) {
			refuse(w, http.StatusBadRequest, "bad_request", "this is no request of FleetLock")
			return
		}
		a.mu.Lock()
		yes, no := judge()
		a.mu.Unlock()
		if !yes {
			refuse(w, http.StatusConflict, "not_now", no)
		}
	}
}

// isGroup tells whether a text is a name of FleetLock's groups: letters, digits, dots and dashes.
func isGroup(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-')
	})
}

func refuse(w http.ResponseWriter, status int, kind, value string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body(map[string]string{"kind": kind, "value": value}))
}

// waits tells whether the agent wants to reboot.
func (a *agent) waits() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.asked.IsZero() && a.now().Sub(a.asked) < asks
}

// learn takes what the Node says.
func (a *agent) learn(steady bool, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.steady, a.until = steady, until
}

func (a *agent) granted() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now().Before(a.until)
}
