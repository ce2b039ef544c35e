package release

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// host is a registry on loopback whose door the test keeps.
type host struct {
	*httptest.Server
	reg   http.Handler
	turn  sync.Mutex
	mu    sync.Mutex
	asked []string
	door  func(w http.ResponseWriter, r *http.Request) bool // true: it answered
}

func start(t *testing.T) *host {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	h := &host{reg: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	h.Server = httptest.NewServer(h)
	h.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that the test cuts
	t.Cleanup(h.Close)
	return h
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.asked = append(h.asked, r.Method+" "+r.URL.RequestURI())
	door := h.door
	h.mu.Unlock()
	if door == nil || !h.pass(door, w, r) {
		h.reg.ServeHTTP(w, r)
	}
}

// pass asks the door for one request at a time.
func (h *host) pass(door func(w http.ResponseWriter, r *http.Request) bool, w http.ResponseWriter, r *http.Request) bool {
	h.turn.Lock()
	defer h.turn.Unlock()
	return door(w, r)
}

// since takes the requests since it was last called that begin with a method.
func (h *host) since(method string) (found []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.asked {
		if strings.HasPrefix(a, method) {
			found = append(found, a)
		}
	}
	h.asked = nil
	return found
}

func (h *host) keep(door func(w http.ResponseWriter, r *http.Request) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.door = door
}

func (h *host) target() Target {
	return Target{Repository: strings.TrimPrefix(h.URL, "http://") + "/clusters/demo", Attempts: 3, Backoff: func(int) time.Duration { return 0 }}
}

// aFile is a file of a release on the disk, of bytes that its title names.
func aFile(t *testing.T, title, kind, format string, size int) File {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(len(title)), uint64(size)))
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return File{Title: title, Kind: kind, Format: format, SHA256: hex.EncodeToString(sum[:]), Size: int64(size), Source: path}
}

func someSet(t *testing.T) Set {
	t.Helper()
	return Set{Cluster: "demo", Manifest: strings.Repeat("ab", 32), LatestBoot: "2027-01-02T03:04:05Z", Files: []File{
		aFile(t, "manifest.json", "manifest", "json", 700),
		aFile(t, "images/master.raw.zst", "image", "raw.zst", 300000),
		aFile(t, "authorities/etcd.crt", "certificate", "pem", 1200),
	}}
}

// Digest is what will name a release, wherever it is pushed.
func (s Set) Digest() (string, error) {
	_, _, index, err := s.objects()
	return index.Digest, err
}

func mustPush(t *testing.T, target Target, s Set) *Pushed {
	t.Helper()
	out, err := Push(t.Context(), target, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sameFiles checks that a folder holds a release's files under their titles.
func sameFiles(t *testing.T, dir string, s Set) {
	t.Helper()
	for _, f := range s.Files {
		want, err := os.ReadFile(f.Source)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.Title)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, and its bytes are the same: %v", f.Title, err, bytes.Equal(got, want))
		}
	}
}
