package approve

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/testtool/apiserver"
)

const requestsAt = "/apis/certificates.k8s.io/v1/certificatesigningrequests"

// pending is a request of worker-1 for an address.
func pending(t *testing.T, name, address string) map[string]any {
	t.Helper()
	return map[string]any{"metadata": map[string]any{"name": name, "uid": name},
		"spec": map[string]any{"signerName": signer, "username": "system:node:worker-1", "groups": []string{"system:nodes"},
			"usages": serving, "request": base64.StdEncoding.EncodeToString(request(t, "worker-1", address, nil))}}
}

// addressOf is the plan's.
func addressOf(t *testing.T, name string) string {
	t.Helper()
	for _, n := range plan().Nodes {
		if n.Name == name {
			return n.Address
		}
	}
	t.Fatalf("no node %s", name)
	return ""
}

// record is the last word of the step.
func record(t *testing.T, root string) step.Record {
	t.Helper()
	all, err := step.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.Step == step.Serving {
			return r
		}
	}
	return step.Record{}
}

// lastly waits until the step's last word is as wanted.
func lastly(t *testing.T, root, state, part string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if r := record(t, root); r.State == state && strings.Contains(r.Text, part) {
			return
		}
	}
	t.Errorf("never %s with %q, but %+v", state, part, record(t, root))
}

// A request that the API server lets nobody approve holds up none behind it, and what
// was said ends with its cause.
func TestOneRequestHoldsNoOtherUp(t *testing.T) {
	s := apiserver.NewStandIn(t, plan())
	s.Put(requestsAt+"/csr-a", pending(t, "csr-a", addressOf(t, "worker-1")))
	s.Put(requestsAt+"/csr-b", pending(t, "csr-b", addressOf(t, "worker-1")))
	s.Put(requestsAt+"/csr-c", pending(t, "csr-c", "192.0.2.1"))
	var mu sync.Mutex
	denied, approved := true, false
	s.No = func(method, path string) (int, string, string, []map[string]string) {
		mu.Lock()
		defer mu.Unlock()
		if method == http.MethodPut && strings.Contains(path, "csr-b") {
			approved = true
		}
		if denied && method == http.MethodPut && strings.Contains(path, "csr-a") {
			return 500, "InternalError", `failed calling webhook "policy.example.org"`, nil
		}
		return 0, "", "", nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		log := &step.Log{Root: s.Root, Stderr: &bytes.Buffer{}, Now: time.Now}
		if err := Run(ctx, Options{Root: s.Root, Report: log, First: time.Millisecond, Rest: 5 * time.Millisecond}); err != nil {
			t.Error(err)
		}
	})
	defer wait.Wait()
	defer cancel()
	lastly(t, s.Root, step.Warning, "failed calling webhook")
	mu.Lock()
	if denied = false; !approved {
		t.Error("csr-b waits for csr-a")
	}
	mu.Unlock()
	lastly(t, s.Root, step.Warning, "csr-c: it is for the addresses")
	decided := pending(t, "csr-c", "192.0.2.1")
	decided["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Denied", "status": "True"}}}
	s.Put(requestsAt+"/csr-c", decided)
	lastly(t, s.Root, step.Done, "no request")
}

// A watch that ends as soon as it begins does not make a master ask without end.
func TestWatchThatEndsAtOnce(t *testing.T) {
	s := apiserver.NewStandIn(t, plan()) // whose watches do
	var asked atomic.Int64               // also by what Run leaves unanswered
	s.No = func(string, string) (int, string, string, []map[string]string) { asked.Add(1); return 0, "", "", nil }
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := Run(ctx, Options{Root: s.Root, Report: make(told, 100), First: time.Millisecond, Rest: 400 * time.Millisecond}); err != nil {
		t.Error(err)
	}
	if n := asked.Load(); n > 60 {
		t.Errorf("asked %d times", n)
	}
}
