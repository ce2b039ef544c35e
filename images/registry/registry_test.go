package registry

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgforge/imgforge/images/cache"
)

// host is a real registry on loopback, whose door the test keeps.
type host struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
	door  func(w http.ResponseWriter, r *http.Request) bool // true: it answered
}

func start(t *testing.T, secure bool) *host {
	t.Helper()
	h := &host{}
	reg := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.asked = append(h.asked, r.URL.RequestURI())
		door := h.door
		h.mu.Unlock()
		if door == nil || !door(w, r) {
			reg.ServeHTTP(w, r)
		}
	})
	if secure {
		h.Server = httptest.NewUnstartedServer(handler)
		h.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that do not trust it
		h.StartTLS()
	} else {
		h.Server = httptest.NewServer(handler)
	}
	t.Cleanup(h.Close)
	return h
}

func (h *host) name() string { return strings.SplitN(h.URL, "//", 2)[1] }

// push puts an image for each architecture there; for one alone without an index.
func (h *host) push(t *testing.T, repo string, arches ...string) (index v1.ImageIndex, last v1.Image) {
	t.Helper()
	tag, err := name.NewTag(h.name() + "/" + repo)
	if err != nil {
		t.Fatal(err)
	}
	options := []remote.Option{remote.WithTransport(h.Client().Transport)}
	index = empty.Index
	for _, arch := range arches {
		img, err := mutate.AppendLayers(empty.Image, static.NewLayer(bytes.Repeat([]byte(arch), 50000), types.OCILayer))
		if err != nil {
			t.Fatal(err)
		}
		config, _ := img.ConfigFile()
		config.OS, config.Architecture = "linux", arch
		if last, err = mutate.ConfigFile(img, config); err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: last, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	if len(arches) == 1 {
		err = remote.Write(tag, last, options...)
	} else {
		err = remote.WriteIndex(tag, index, options...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return index, last
}

// client is one for whom nobody has signed in.
func client(t *testing.T, registries ...Registry) *Client {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	return anew(t, registries...)
}

// whole resolves an image, fetches all of it and reads it back out of the cache.
func whole(t *testing.T, c *Client, image, arch string) Image {
	t.Helper()
	img, err := c.Resolve(t.Context(), image, arch)
	if err != nil {
		t.Fatal(err)
	}
	files, err := c.Files(img)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cache.Fetch(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	got, err := Cached(c.cache, img.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := got.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	r, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil || !bytes.HasPrefix(data, []byte(arch)) {
		t.Errorf("%d bytes of a layer, %v", len(data), err)
	}
	return img
}

func TestResolveAndFetch(t *testing.T) {
	h := start(t, false)
	index, arm := h.push(t, "team/both:1", "amd64", "arm64")
	digest, _ := index.Digest()
	manifest, _ := arm.Digest()
	c := client(t)
	img := whole(t, c, h.name()+"/team/both:1", "arm64")
	if string(img.Index) != digest.String() || string(img.Manifest) != manifest.String() || img.Size < 250000 {
		t.Errorf("%+v", img)
	}
	// By digest, and without an index.
	whole(t, c, h.name()+"/team/both@"+digest.String(), "amd64")
	h.push(t, "team/one:1", "amd64")
	if img := whole(t, c, h.name()+"/team/one:1", "amd64"); img.Index != "" {
		t.Errorf("%+v", img)
	}
	for image, want := range map[string]string{"team/one:1": "published for linux/amd64 alone, not for linux/arm64", "team/none:1": "NAME_UNKNOWN", "team/both:2": "MANIFEST_UNKNOWN"} {
		if _, err := c.Resolve(t.Context(), h.name()+"/"+image, "arm64"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", image, err)
		}
	}
	if _, err := c.Resolve(t.Context(), h.name()+"/team/both:1", "riscv64"); err == nil || !strings.Contains(err.Error(), "not published for linux/riscv64") {
		t.Errorf("%v", err)
	}
	if _, err := c.Resolve(t.Context(), "UPPER/case:1", "amd64"); err == nil {
		t.Error("a name that is none")
	}
}

// A mirror stands for its registry, below a path of its own, and is told for which
// one, as containerd does it; what it lacks comes from the next.
func TestMirrors(t *testing.T) {
	own, mirror := start(t, false), start(t, false)
	own.push(t, "team/a:1", "amd64", "arm64")
	own.push(t, "team/b:1", "amd64", "arm64")
	mirror.push(t, "team/a:1", "amd64", "arm64")
	mirror.door = func(w http.ResponseWriter, r *http.Request) bool {
		path, ok := strings.CutPrefix(r.URL.Path, "/proxy/k8s")
		if !ok {
			http.Error(w, "not here", http.StatusTeapot)
			return true
		}
		if r.URL.Query().Get("ns") != own.name() {
			http.Error(w, "for whom?", http.StatusBadRequest)
			return true
		}
		r.URL.Path = path
		return false
	}
	down := httptest.NewServer(nil)
	down.Close()
	c := client(t, Registry{Host: own.name(), Mirrors: []string{down.URL, mirror.URL + "/proxy/k8s/"}})
	own.asked = nil
	whole(t, c, own.name()+"/team/a:1", "amd64")
	if len(own.asked) > 0 {
		t.Errorf("asked the registry itself: %q", own.asked)
	}
	whole(t, c, own.name()+"/team/b:1", "amd64")
}

// Credentials go to their registry and to nobody else.
func TestCredentials(t *testing.T) {
	var leaked []string
	own, mirror := start(t, false), start(t, false)
	own.push(t, "team/a:1", "amd64", "arm64")
	mirror.door = func(w http.ResponseWriter, r *http.Request) bool {
		if a := r.Header.Get("Authorization"); a != "" {
			leaked = append(leaked, a)
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="mirror"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	own.door = func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user == "robot" && password == "s3cret" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="own"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	c := client(t, Registry{Host: own.name(), Mirrors: []string{mirror.URL}, Username: "robot", Password: "s3cret"})
	whole(t, c, own.name()+"/team/a:1", "amd64")
	if len(leaked) > 0 {
		t.Errorf("the mirror was told %q", leaked)
	}
	_, err := client(t, Registry{Host: own.name(), Username: "robot", Password: "wr0ng"}).Resolve(t.Context(), own.name()+"/team/a:1", "amd64")
	if err == nil || !strings.Contains(err.Error(), "401 Unauthorized") || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("%v", err)
	}
	// What the cluster file does not name comes from Docker's configuration.
	c = client(t)
	config := fmt.Sprintf(`{"auths": {%q: {"auth": "cm9ib3Q6czNjcmV0"}}}`, own.name())
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	whole(t, c, own.name()+"/team/a:1", "amd64")
}

// An authority of the cluster file is trusted for its registry, and for no other.
func TestAuthority(t *testing.T) {
	h := start(t, true)
	h.push(t, "team/a:1", "amd64", "arm64")
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}))
	whole(t, client(t, Registry{Host: h.name(), CA: ca}), h.name()+"/team/a:1", "amd64")
	_, err := client(t, Registry{Host: "other.example.org", CA: ca}).Resolve(t.Context(), h.name()+"/team/a:1", "amd64")
	if err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("%v", err)
	}
	if _, err := New(cache.Open(t.TempDir()), []Registry{{Host: "a", CA: "no PEM"}}); err == nil || !strings.Contains(err.Error(), "registry a: its authority is no certificate") {
		t.Errorf("%v", err)
	}
}

// A layer that comes wrong is not kept, and a cut one is continued.
func TestLayersAreVerified(t *testing.T) {
	h := start(t, false)
	h.push(t, "team/a:1", "amd64", "arm64")
	c := client(t)
	img, err := c.Resolve(t.Context(), h.name()+"/team/a:1", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	files, err := c.Files(img)
	if err != nil {
		t.Fatal(err)
	}
	layer := files[len(files)-1]
	h.door = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") {
			w.Write(bytes.Repeat([]byte{'x'}, int(layer.Size)))
			return true
		}
		return false
	}
	err = c.cache.Fetch(t.Context(), []cache.File{layer})
	if bad, ok := errors.AsType[*cache.Corrupt](err); !ok || bad.Want != layer.Digest || c.cache.Has(layer.Digest) {
		t.Errorf("%v", err)
	}
}

func TestOfflineAsksNobody(t *testing.T) {
	h := start(t, false)
	h.push(t, "team/a:1", "amd64", "arm64")
	h.asked = nil
	c := client(t)
	c.cache.Offline = true
	if _, err := c.Resolve(t.Context(), h.name()+"/team/a:1", "amd64"); err == nil || len(h.asked) > 0 {
		t.Errorf("%v; asked %q", err, h.asked)
	}
}
