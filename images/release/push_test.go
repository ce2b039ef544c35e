package release

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A second run asks once and sends nothing; a release that shares files with one
// that is there sends the others alone.
func TestNothingIsSentTwice(t *testing.T) {
	h := start(t)
	s := someSet(t)
	first := mustPush(t, h.target(), s)
	if first.Already || first.Sent != 3 || first.Present != 0 || first.Tag != "demo-abababababababab" {
		t.Errorf("the first push: %+v", first)
	}
	h.since("")
	again := mustPush(t, h.target(), s)
	if asked := h.since(""); !again.Already || again.Digest != first.Digest || len(asked) != 2 { // the second is the question
		t.Errorf("the second push: %+v after %q", again, asked)
	}
	s.Manifest = strings.Repeat("cd", 32)
	s.Files = append(s.Files, aFile(t, "bundle.tar", "bundle", "oci", 5000))
	next := mustPush(t, h.target(), s)
	if next.Sent != 1 || next.Present != 3 || next.Digest == first.Digest {
		t.Errorf("a release with one more file: %+v", next)
	}
	if sent := h.since("PATCH"); len(sent) != 1 {
		t.Errorf("it sent %q", sent)
	}
}

// The order of files and their place on the disk leave no trace.
func TestTheDigestFollowsFromTheFiles(t *testing.T) {
	s := someSet(t)
	want, err := s.Digest()
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(s.Files)
	s.Files[0].Source = "elsewhere"
	if got, err := s.Digest(); err != nil || got != want {
		t.Errorf("%s, %v; before %s", got, err, want)
	}
	s.Files[0].Title = s.Files[1].Title
	if _, err := s.Digest(); err == nil {
		t.Error("two files of one name were taken")
	}
}

// Ended at any request, a push leaves no tag and no index that names what is not
// there, and the next run sends only what is missing.
func TestEndedAtEveryRequest(t *testing.T) {
	s := someSet(t)
	whole, total := start(t), 0
	want := mustPush(t, whole.target(), s)
	total = len(whole.since(""))
	for n := 1; n <= total; n++ {
		h := start(t)
		ctx, stop := context.WithCancel(t.Context())
		seen := 0
		h.keep(func(w http.ResponseWriter, r *http.Request) bool {
			if seen++; seen == n {
				stop()
				panic(http.ErrAbortHandler)
			}
			return false
		})
		_, err := Push(ctx, h.target(), s, nil)
		stop()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("ended at request %d: %v", n, err)
		}
		h.keep(nil)
		kept := finished(h.since("PUT"))
		got := mustPush(t, h.target(), s)
		if got.Digest != want.Digest {
			t.Errorf("ended at request %d: the digest is %s, not %s", n, got.Digest, want.Digest)
		}
		for _, blob := range finished(h.since("PUT")) {
			// The one whose answer was cut is asked for before it would be sent again.
			if i := slices.Index(kept, blob); i >= 0 && i < len(kept)-1 {
				t.Errorf("ended at request %d: %s was sent twice", n, blob)
			}
		}
	}
}

// finished are the digests of the blobs among the requests that ended an upload.
func finished(puts []string) (digests []string) {
	for _, p := range puts {
		if _, d, ok := strings.Cut(p, "digest="); ok {
			digests = append(digests, d)
		}
	}
	return digests
}

// Each request fails once in each of these ways, and the release is whole all the same.
func TestRegistryFailsEveryRequestOnce(t *testing.T) {
	for name, fail := range map[string]func(h *host, w http.ResponseWriter, r *http.Request){
		"429": func(_ *host, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"500": func(_ *host, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"503": func(_ *host, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"cut": func(*host, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"done, and the answer cut": func(h *host, _ http.ResponseWriter, r *http.Request) {
			h.reg.ServeHTTP(discard{}, r)
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, s := start(t), someSet(t)
			target := h.target()
			target.Attempts = 10 // several kinds fail in a row
			failed := map[string]bool{}
			h.keep(func(w http.ResponseWriter, r *http.Request) bool {
				key := r.Method + " " + strings.TrimRight(r.URL.Path, "0123456789") + r.URL.Query().Get("digest")
				if failed[key] {
					return false
				}
				failed[key] = true
				fail(h, w, r)
				return true
			})
			mustPush(t, target, s)
			if len(failed) < 10 {
				t.Errorf("only %d kinds of requests failed", len(failed))
			}
			h.keep(nil)
			if again := mustPush(t, target, s); !again.Already {
				t.Errorf("it was not whole: %+v", again)
			}
		})
	}
}

// A registry that stays broken ends the work after a few times, with what exists.
func TestFailureSaysWhatExists(t *testing.T) {
	h, s := start(t), someSet(t)
	h.keep(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch && r.ContentLength == 300000 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	_, err := Push(t.Context(), h.target(), s, nil)
	for _, want := range []string{"images/master.raw.zst", "503", "1 of 3 files are in the registry, and no tag or index names them yet", "run it again"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
	if patches := h.since("PATCH"); len(patches) != 5 { // one for no configuration, one for the first file, and three
		t.Errorf("it sent %q", patches)
	}
}

// A file that is not what it was when the manifest was written is refused by the
// registry, once, and nothing names it.
func TestChangedFile(t *testing.T) {
	h, s := start(t), someSet(t)
	data, err := os.ReadFile(s.Files[1].Source)
	if err != nil {
		t.Fatal(err)
	}
	data[1000]++
	if err := os.WriteFile(s.Files[1].Source, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Push(t.Context(), h.target(), s, nil); !errors.Is(err, errSource) {
		t.Errorf("other bytes: %v", err)
	}
	if err := os.WriteFile(s.Files[1].Source, data[1:], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Push(t.Context(), h.target(), s, nil); !errors.Is(err, errSource) || !strings.Contains(err.Error(), "299999") {
		t.Errorf("fewer bytes: %v", err)
	}
	if found := h.since("PUT"); slices.ContainsFunc(found, func(p string) bool { return strings.Contains(p, "/manifests/demo-") }) {
		t.Errorf("something names it: %q", found)
	}
}

// partial lets a registry that keeps what arrived of a broken upload, and says how
// much, stand before one that does neither. It breaks every connection after limit bytes.
func partial(h *host, limit int64) (sent func() int64) {
	var total int64
	have := map[string]int64{}
	h.keep(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/uploads/"):
			w.Header().Set("Location", r.URL.Path)
			w.Header().Set("Range", "0-"+strconv.FormatInt(max(have[r.URL.Path]-1, 0), 10))
			w.WriteHeader(http.StatusNoContent)
			return true
		case r.Method != http.MethodPatch:
			return false
		}
		n := min(r.ContentLength, limit)
		total += n
		inner := r.Clone(r.Context())
		inner.Body = io.NopCloser(io.LimitReader(r.Body, n))
		if from := have[r.URL.Path]; from > 0 || r.Header.Get("Content-Range") != "" {
			if !strings.HasPrefix(r.Header.Get("Content-Range"), strconv.FormatInt(from, 10)+"-") {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return true
			}
		} else {
			inner.Header.Set("Content-Range", "0-"+strconv.FormatInt(n-1, 10)) // else it would not keep it
		}
		if n == r.ContentLength {
			h.reg.ServeHTTP(w, inner)
			return true
		}
		h.reg.ServeHTTP(discard{}, inner)
		have[r.URL.Path] += n
		panic(http.ErrAbortHandler)
	})
	return func() int64 { return total }
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

// An upload that breaks again and again goes on where the registry says it stands:
// each byte is sent once, and every step that moves on counts its failures anew.
func TestUploadGoesOn(t *testing.T) {
	h, s := start(t), someSet(t)
	sent := partial(h, 50000)
	counted := &count{}
	if _, err := Push(t.Context(), h.target(), s, counted); err != nil {
		t.Fatal(err)
	}
	if want := int64(300000 + 700 + 1200 + 2); sent() != want {
		t.Errorf("%d bytes were sent of %d", sent(), want)
	}
	if counted.bytes != 301900 || len(counted.done) != 3 || !counted.ended {
		t.Errorf("progress: %+v", counted)
	}
}

// A registry that forgets a broken upload gets it from its beginning, a few times.
func TestForgottenUpload(t *testing.T) {
	h, s := start(t), someSet(t)
	left := 2
	h.keep(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch && r.ContentLength == 300000 && left > 0 {
			left--
			io.CopyN(io.Discard, r.Body, 100000)
			panic(http.ErrAbortHandler)
		}
		return false
	})
	counted := &count{}
	if _, err := Push(t.Context(), h.target(), s, counted); err != nil || counted.bytes != 301900 {
		t.Errorf("%v, %+v", err, counted)
	}
}

type count struct {
	bytes int64
	done  []string
	ended bool
}

func (c *count) Add(n int64)      { c.bytes += n }
func (c *count) Done(name string) { c.done = append(c.done, name) }
func (c *count) End()             { c.ended = true }

// locked asks for a name and a password for whatever writes, or for everything.
func locked(reading bool) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		name, password, _ := r.BasicAuth()
		if name == "ci" && password == "let-me-in" || reading && r.URL.Path != "/v2/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="demo"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
}

func TestCredentials(t *testing.T) {
	h, s := start(t), someSet(t)
	h.keep(locked(false))
	target := h.target()
	if _, err := Push(t.Context(), target, s, nil); err == nil || !strings.Contains(err.Error(), "401") || !strings.Contains(err.Error(), "sign in") {
		t.Errorf("without credentials: %v", err)
	}
	target.Username, target.Password = "ci", "a-wrong-one"
	if _, err := Push(t.Context(), target, s, nil); err == nil || strings.Contains(err.Error(), "a-wrong-one") {
		t.Errorf("with a wrong password: %v", err)
	}
	// Docker's configuration comes first.
	registry, _, _ := strings.Cut(target.Repository, "/")
	config, err := json.Marshal(map[string]any{"auths": map[string]any{registry: map[string]string{"username": "ci", "password": "let-me-in"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(os.Getenv("DOCKER_CONFIG")+"/config.json", config, 0o600); err != nil {
		t.Fatal(err)
	}
	mustPush(t, target, s)
	if err := os.Remove(os.Getenv("DOCKER_CONFIG") + "/config.json"); err != nil {
		t.Fatal(err)
	}
	target.Password = "let-me-in"
	if again := mustPush(t, target, s); !again.Already {
		t.Errorf("with the cluster file's credentials: %+v", again)
	}
}

// A file that is secret goes last, and only where strangers were seen to be refused.
func TestSecretsGoWhereNobodyReads(t *testing.T) {
	h, s := start(t), someSet(t)
	secret := aFile(t, "secret/images/a.raw", "image", "raw", 9000)
	secret.Secret = true
	s.Files = append([]File{secret}, s.Files...)
	target := h.target()
	target.Username, target.Password = "ci", "let-me-in"
	gone := func() bool {
		return slices.ContainsFunc(h.since(""), func(a string) bool {
			return strings.Contains(a, secret.SHA256) && !strings.HasPrefix(a, "HEAD")
		})
	}
	for name, door := range map[string]func(http.ResponseWriter, *http.Request) bool{"open": nil, "open for reading": locked(true)} {
		h.keep(door)
		if _, err := Push(t.Context(), target, s, nil); !errors.Is(err, ErrOpen) || !strings.Contains(err.Error(), "3 of 4 files") || gone() {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.keep(func(w http.ResponseWriter, r *http.Request) bool { // nobody can tell
		if _, _, ok := r.BasicAuth(); ok {
			return false
		}
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	target.Username = "ci"
	if _, err := Push(t.Context(), target, s, nil); err == nil || gone() {
		t.Errorf("a registry that does not say whether it is private: %v", err)
	}
	h.keep(locked(false))
	out := mustPush(t, target, s)
	if !gone() || out.Tag != "demo-abababababababab-secret" {
		t.Errorf("a private repository: %+v", out)
	}
}

// A registry that takes nothing any more is given up.
func TestStalledBody(t *testing.T) {
	ended := make(chan struct{})
	w := &watched{r: strings.NewReader("x"), timer: time.AfterFunc(time.Nanosecond, func() { close(ended) })}
	<-ended
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestRepositoryNames(t *testing.T) {
	for _, bad := range []string{"", "demo", "host/demo:tag", "host/demo@sha256:" + strings.Repeat("0", 64), "https://host/demo", "Host/UPPER"} {
		if _, err := ParseRepository(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	for _, good := range []string{"registry.example.org/demo", "127.0.0.1:5000/a/b/c"} {
		if _, err := ParseRepository(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}
