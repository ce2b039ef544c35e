package proof

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
)

// Any web server that serves the folder out/public is what artifacts.url names: the
// real Ignition fetches from it by hash, writes what it wrote of a payload that
// carries everything, and writes nothing when a file was changed.
func TestPublicPartIsServedAsItLies(t *testing.T) {
	const text = `apiVersion: imgforge/v1alpha1
kind: Cluster
name: served
platform: {provider: metal}
network: {mesh: wireguard}
roles:
  master: {count: 1, nodes: [{name: master-1, endpoint: 192.0.2.11}]}
  proxy: {count: 0}
`
	c := fromFile(t, text)
	c.run(t, "build", "-o", c.path("out"))
	carried := t.TempDir()
	if err := ignite(t, c.payloadOf(t, "master-1"), carried); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	asked := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path] = true
		mu.Unlock()
		http.FileServer(http.Dir(c.path("out", "public"))).ServeHTTP(w, r)
	}))
	defer server.Close()
	c.write(t, text+"artifacts: {url: "+server.URL+"}\n")
	c.run(t, "build", "-o", c.path("out"))
	fetched := t.TempDir()
	if err := ignite(t, c.payloadOf(t, "master-1"), fetched); err != nil {
		t.Fatal(err)
	}
	const when = "/etc/.ignition-result.json" // the one file that tells the time
	sameTree(t, "fetched", entries(t, fetched, when), entries(t, carried, when))
	if len(asked) == 0 {
		t.Fatal("nothing was fetched")
	}
	for path := range asked {
		if !strings.HasPrefix(path, "/files/sha256-") {
			t.Errorf("it asked for %s", path)
		}
		name := c.path("out", "public") + path
		if err := os.WriteFile(name, []byte("something else"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := ignite(t, c.payloadOf(t, "master-1"), t.TempDir()); err == nil {
		t.Error("Ignition took files with other contents")
	}
}
