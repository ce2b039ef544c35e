package cache

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFetchOnce(t *testing.T) {
	a, b := contents(1, 300<<10), contents(2, 100<<10)
	s := serve(t, map[string][]byte{"/a": a, "/b": b, "/c": b})
	c := open(t)
	files := []File{wanted(s, "/a", a), wanted(s, "/b", b), wanted(s, "/c", b)}
	for range 2 { // the second run asks for nothing
		if err := c.Fetch(t.Context(), files); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, c, a, b)
	if len(s.asked) != 2 {
		t.Errorf("asked %q", s.asked)
	}
}

// Every connection ends after a part of the file: the next one continues there,
// and no byte comes twice.
func TestResumesWhatWasCut(t *testing.T) {
	data := contents(3, 900<<10)
	s := serve(t, map[string][]byte{"/f": data})
	s.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		cut(data, 100<<10, w, r)
		return true
	}
	c := open(t)
	c.Attempts = 2 // each gives bytes, so that none counts
	if err := c.Fetch(t.Context(), []File{wanted(s, "/f", data)}); err != nil {
		t.Fatal(err)
	}
	holds(t, c, data)
	if len(s.asked) != 9 || s.asked[8] != fmt.Sprintf("GET /f bytes=%d-", 800<<10) {
		t.Errorf("asked %q", s.asked)
	}
}

// A later process continues what an earlier one began, unless the file changed.
func TestResumesAcrossRuns(t *testing.T) {
	data := contents(4, 500<<10)
	for _, tc := range []struct {
		name, etag string
		from       int64 // bytes that the second run is sent
	}{
		{"the same file", `"one"`, 300 << 10},
		{"a changed file", `"two"`, 500 << 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, map[string][]byte{"/f": data})
			c := open(t)
			f := wanted(s, "/f", data)
			begun(t, c, f, data[:200<<10], origin{URL: f.URL, Validator: `"one"`})
			s.etag = tc.etag
			if err := c.Fetch(t.Context(), []File{f}); err != nil {
				t.Fatal(err)
			}
			holds(t, c, data)
			if got := s.served.Load(); got != tc.from {
				t.Errorf("%d bytes came, wanted %d", got, tc.from)
			}
		})
	}
}

// begun leaves what a killed process would.
func begun(t *testing.T, c *Cache, f File, data []byte, from origin) {
	t.Helper()
	p, err := c.openPart(t.Context(), f.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.begin(from); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(data); err != nil {
		t.Fatal(err)
	}
	p.file.Close()
}

// What a crash left may be anything: it costs a second download, not the file.
func TestRottenBeginningIsThrownAway(t *testing.T) {
	data := contents(5, 200<<10)
	s := serve(t, map[string][]byte{"/f": data})
	for name, left := range map[string][]byte{
		"zeroes": make([]byte, 50<<10), "too long": make([]byte, 300<<10), "whole but wrong": make([]byte, 200<<10),
	} {
		c := open(t)
		f := wanted(s, "/f", data)
		begun(t, c, f, left, origin{URL: f.URL})
		if err := c.Fetch(t.Context(), []File{f}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		holds(t, c, data)
	}
}

func TestRetriesWhatMayPass(t *testing.T) {
	data := contents(6, 10<<10)
	for _, code := range []int{429, 500, 502, 503, 504, 408} {
		s := serve(t, map[string][]byte{"/f": data})
		s.fault = func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n > 3 {
				return false
			}
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(code)
			return true
		}
		c := open(t)
		if err := c.Fetch(t.Context(), []File{wanted(s, "/f", data)}); err != nil {
			t.Errorf("%d: %v", code, err)
		}
		holds(t, c, data)
	}
}

func TestGivesUpWithReasons(t *testing.T) {
	data := contents(7, 10<<10)
	s := serve(t, map[string][]byte{"/f": data})
	s.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }
	c := open(t)
	err := c.Fetch(t.Context(), []File{wanted(s, "/f", data)})
	if want := "fetch f: " + s.URL + "/f: 503 Service Unavailable (tried 5 times)"; err == nil || err.Error() != want {
		t.Errorf("%v, wanted %s", err, want)
	}
	s.fault = nil
	err = c.Fetch(t.Context(), []File{{Name: "gone", URL: s.URL + "/gone", Digest: Of([]byte("x"))}})
	if _, ok := errors.AsType[*NotFound](err); !ok {
		t.Errorf("%v", err)
	}
	if len(s.asked) != 6 { // what is not there is asked for once
		t.Errorf("asked %q", s.asked)
	}
	holds(t, c)
}

// Wrong bytes: nothing is kept, and the message says which URL, what was wanted and what came.
func TestWrongBytesKeepNothing(t *testing.T) {
	data := contents(8, 10<<10)
	for name, wrong := range map[string][]byte{"other": contents(9, 10<<10), "longer": append(bytes.Clone(data), 1)} {
		s := serve(t, map[string][]byte{"/f": wrong})
		c := open(t)
		f := wanted(s, "/f", data)
		if len(wrong) != len(data) {
			f.Size = 0 // known by its hash alone
		}
		err := c.Fetch(t.Context(), []File{f})
		bad, ok := errors.AsType[*Corrupt](err)
		if !ok || bad.URL != s.URL+"/f" || bad.Want != Of(data) || bad.Got != Of(wrong) {
			t.Errorf("%s: %v", name, err)
		}
		if want := fmt.Sprintf("fetch f: %s/f: wanted %s, got %s: nothing was kept", s.URL, Of(data), Of(wrong)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, wanted %s", name, err, want)
		}
		holds(t, c)
	}
}

// A file of another length is not even downloaded.
func TestWrongLengthKeepsNothing(t *testing.T) {
	data := contents(22, 10<<10)
	for _, wrong := range [][]byte{data[:5<<10], append(bytes.Clone(data), 1), {}} {
		s := serve(t, map[string][]byte{"/f": wrong})
		c := open(t)
		err := c.Fetch(t.Context(), []File{wanted(s, "/f", data)})
		if want := fmt.Sprintf("the file there has %d bytes, and %s has %d", len(wrong), Of(data), len(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
		holds(t, c)
	}
	// A server that does not say how long its answer is.
	s := serve(t, nil)
	s.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.Write(data)
		w.(http.Flusher).Flush()
		w.Write([]byte{1})
		return true
	}
	c := open(t)
	if err := c.Fetch(t.Context(), []File{wanted(s, "/f", data)}); err == nil || !strings.Contains(err.Error(), "nothing was kept") {
		t.Errorf("%v", err)
	}
	holds(t, c)
}

// A mirror that lies, lacks the file or is down costs nothing but time.
func TestMirrorsInOrder(t *testing.T) {
	data := contents(10, 10<<10)
	upstream := serve(t, map[string][]byte{"/dir/f": data})
	host := strings.TrimPrefix(upstream.URL, "http://")
	lying := serve(t, map[string][]byte{"/" + host + "/dir/f": contents(11, 10<<10)})
	empty := serve(t, nil)
	good := serve(t, map[string][]byte{"/files/" + host + "/dir/f": data})
	down := httptest.NewServer(nil)
	down.Close()
	c := open(t)
	c.Mirrors = []string{down.URL, empty.URL, lying.URL + "/", good.URL + "/files"}
	if err := c.Fetch(t.Context(), []File{wanted(upstream, "/dir/f", data)}); err != nil {
		t.Fatal(err)
	}
	holds(t, c, data)
	if len(upstream.asked) != 0 || len(good.asked) != 1 {
		t.Errorf("upstream %q, mirror %q", upstream.asked, good.asked)
	}
	c = open(t)
	c.Mirrors, c.MirrorsOnly = []string{empty.URL}, true
	if err := c.Fetch(t.Context(), []File{wanted(upstream, "/dir/f", data)}); err == nil || len(upstream.asked) != 0 {
		t.Errorf("mirrors alone: %v, %q", err, upstream.asked)
	}
	c = open(t)
	c.Mirrors = []string{empty.URL, lying.URL}
	if err := c.Fetch(t.Context(), []File{wanted(upstream, "/dir/f", data)}); err != nil {
		t.Fatal(err)
	}
	holds(t, c, data)
}

func TestOfflineListsAllThatIsMissing(t *testing.T) {
	a, b := contents(12, 1<<10), contents(13, 1<<10)
	s := serve(t, map[string][]byte{"/a": a, "/b": b})
	c := open(t)
	c.Offline = true
	err := c.Fetch(t.Context(), []File{wanted(s, "/b", b), wanted(s, "/a", a)})
	missing, ok := errors.AsType[*Missing](err)
	if !ok || len(missing.Files) != 2 || missing.Files[0].Name != "a" {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"lacks 2 of what is needed", "a  " + string(Of(a)) + "  " + s.URL + "/a\n", "imgforge fetch"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %s", want, err)
		}
	}
	if len(s.asked) != 0 {
		t.Errorf("asked %q", s.asked)
	}
}

// One broken file does not keep the others from coming, and all failures are told at once.
func TestAllFailuresAtOnce(t *testing.T) {
	good := contents(14, 1<<10)
	s := serve(t, map[string][]byte{"/good": good})
	c := open(t)
	err := c.Fetch(t.Context(), []File{
		{Name: "one", URL: s.URL + "/one", Digest: Of([]byte("1"))}, {Name: "two", URL: s.URL + "/two", Digest: Of([]byte("2"))}, wanted(s, "/good", good)})
	if err == nil || !strings.Contains(err.Error(), "fetch one: ") || !strings.Contains(err.Error(), "fetch two: ") {
		t.Errorf("%v", err)
	}
	holds(t, c, good)
}
