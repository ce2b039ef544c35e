//go:build lab

package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/api"
	"github.com/imgforge/imgforge/internal/testtool/apiserver"
)

// begin runs an applier for a master of that name until the test ends it.
func begin(t *testing.T, c *apiserver.Cluster, name string, change func(a *applier)) (w *word, end func()) {
	t.Helper()
	w = &word{begun: time.Now(), codes: map[int]string{}}
	a, err := load(Options{Root: c.Root, Report: w, Rest: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	a.lock.identity, a.client.Warned = name, w.warning
	a.settled = map[string]bool{} // as on a machine of its own; see realMemory
	if change != nil {
		change(a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { a.run(ctx) })
	end = func() { cancel(); wait.Wait() }
	t.Cleanup(func() {
		end()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, w)
		}
	})
	return w, end
}

func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for limit := time.Now().Add(90 * time.Second); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
		if met() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// once runs an applier until it is done, without a code or a warning of the API server.
func once(t *testing.T, c *apiserver.Cluster, name string, change func(a *applier)) *word {
	t.Helper()
	w, end := begin(t, c, name, change)
	until(t, name+" is done", w.finished)
	end()
	for _, text := range w.warned {
		t.Errorf("%s was warned: %s", name, text)
	}
	return w
}

func quiet(t *testing.T, w *word) {
	t.Helper()
	for _, text := range w.codes {
		t.Errorf("said without a reason:\n%s", text)
	}
}

// versions are the resourceVersions of all that is applied, and of the record.
func versions(t *testing.T, c *apiserver.Cluster) map[string]string {
	t.Helper()
	a, err := load(Options{Root: c.Root})
	if err != nil {
		t.Fatal(err)
	}
	refs := []api.Ref{recordRef(), {APIVersion: "v1", Kind: "Node", Name: "worker-1"}}
	for _, want := range a.wanted {
		for _, o := range want.Objects {
			refs = append(refs, ref(o))
		}
	}
	out := map[string]string{}
	for _, r := range refs {
		var o struct {
			Metadata struct {
				ResourceVersion string            `json:"resourceVersion"`
				Labels          map[string]string `json:"labels"`
			} `json:"metadata"`
		}
		if err := a.client.Get(t.Context(), r, &o); err != nil {
			t.Error(err)
		}
		out[r.String()] = o.Metadata.ResourceVersion
	}
	return out
}

func same(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name, version := range before {
		if after[name] != version {
			t.Errorf("%s was changed: %s, then %s", name, version, after[name])
		}
	}
}

func node(name, labels string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Node","metadata":{"name":%q,"labels":{%s}}}`, name, labels)
}

func labelsOf(t *testing.T, c *apiserver.Cluster, name string) map[string]string {
	t.Helper()
	var m member
	if err := json.Unmarshal(c.Admin().Must(t, http.MethodGet, "/api/v1/nodes/"+name, ""), &m); err != nil {
		t.Fatal(err)
	}
	return m.Metadata.Labels
}

// quietKept allows what users changed before.
func quietKept(t *testing.T, w *word) {
	t.Helper()
	delete(w.codes, bootcode.ValueKept)
	quiet(t, w)
}
