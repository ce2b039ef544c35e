package lab

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// store answers like an API server, as far as the ledger asks one. How it fails is up
// to who breaks it.
type store struct {
	mu       sync.Mutex
	revision int64
	objects  map[string]configMap
	// breaks may answer instead, or spoil what is stored; it is told which request it is.
	breaks func(s *store, number int, w http.ResponseWriter, r *http.Request) (done bool)
	number int
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	if s.breaks != nil && s.breaks(s, s.number, w, r) {
		return
	}
	s.answer(w, r)
}

func (s *store) answer(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		o, ok := s.objects[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		json.NewEncoder(w).Encode(o)
		return
	}
	var o configMap
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if _, ok := s.objects[o.Metadata.Name]; ok {
		w.WriteHeader(http.StatusConflict)
		return
	}
	s.revision++
	o.Metadata.ResourceVersion = strconv.FormatInt(s.revision, 10)
	s.objects[o.Metadata.Name] = o
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(o)
}

// kept is what the ledger's judge is given of a store.
func (s *store) kept() map[string]stored {
	there := map[string]stored{}
	for name, o := range s.objects {
		revision, _ := strconv.ParseInt(o.Metadata.ResourceVersion, 10, 64)
		there[name] = stored{revision, func(value string) bool { return o.Data["value"] == value }}
	}
	return there
}

// writes has a client write some keys to a store and returns its ledger.
func writes(t *testing.T, s *store, keys int) *ledger {
	t.Helper()
	s.objects = map[string]configMap{}
	server := httptest.NewTLSServer(s)
	defer server.Close()
	l := newLedger("test", func(string) {})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := &client{ledger: l, name: "k", what: writesThrough, server: server.URL, dial: (&net.Dialer{}).DialContext, tls: trustOf(server)}
	go func() {
		for ctx.Err() == nil && l.acknowledged() < keys {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	c.write(ctx)
	return l
}

func trustOf(server *httptest.Server) *tls.Config {
	return server.Client().Transport.(*http.Transport).TLSClientConfig
}

// What an API server does wrong is found: by the clients at once, or by the judge.
func TestLedger(t *testing.T) {
	t.Parallel()
	hangUp := func(w http.ResponseWriter) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close()
		}
	}
	for _, tc := range []struct {
		name    string
		breaks  func(s *store, number int, w http.ResponseWriter, r *http.Request) bool
		lost    int
		foreign int
		wrong   string
	}{
		{name: "well"},
		{name: "acknowledges and forgets", lost: 1, breaks: func(s *store, number int, w http.ResponseWriter, r *http.Request) bool {
			if number == 2 {
				s.answer(w, r)
				maps.DeleteFunc(s.objects, func(name string, _ configMap) bool { return name == "k-000002" })
			}
			return number == 2
		}},
		{name: "stores, and the answer is lost", breaks: func(s *store, number int, w http.ResponseWriter, r *http.Request) bool {
			if number == 2 {
				s.answer(httptest.NewRecorder(), r)
				hangUp(w)
			}
			return number == 2
		}},
		{name: "stores nothing, and the answer is lost", breaks: func(s *store, number int, w http.ResponseWriter, r *http.Request) bool {
			if number == 2 {
				hangUp(w)
			}
			return number == 2
		}},
		{name: "is not ready", breaks: func(s *store, number int, w http.ResponseWriter, r *http.Request) bool {
			if number < 4 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return number < 4
		}},
		{name: "stores something else", lost: 1, breaks: func(s *store, number int, w http.ResponseWriter, r *http.Request) bool {
			if number == 3 {
				o := s.objects["k-000001"]
				o.Data = map[string]string{"value": "spoiled"}
				s.objects["k-000001"] = o
			}
			return false
		}},
		{name: "writes a second time", lost: 1, breaks: func(s *store, number int, w http.ResponseWriter, r *http.Request) bool {
			if number == 3 {
				o := s.objects["k-000001"]
				o.Metadata.ResourceVersion = "99"
				s.objects["k-000001"] = o
			}
			return false
		}},
		{name: "has what nobody sent", foreign: 1, breaks: func(s *store, number int, w http.ResponseWriter, r *http.Request) bool {
			s.objects["other"] = configMap{Metadata: objectMeta{Name: "other", ResourceVersion: "1"}}
			return false
		}},
		{name: "answers with another object", wrong: "it is another object", breaks: func(s *store, number int, w http.ResponseWriter, r *http.Request) bool {
			if number == 2 {
				w.WriteHeader(http.StatusCreated)
				json.NewEncoder(w).Encode(configMap{Metadata: objectMeta{Name: "k-000001", ResourceVersion: "1"}})
			}
			return number == 2
		}},
		{name: "knows a key before it is sent", wrong: "409 to the first creation", breaks: func(s *store, number int, w http.ResponseWriter, r *http.Request) bool {
			if number == 2 {
				w.WriteHeader(http.StatusConflict)
			}
			return number == 2
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &store{breaks: tc.breaks}
			l := writes(t, s, 3)
			due, known := l.all()
			lost, foreign := l.judge("it", due, known, s.kept())
			if len(due) != 3 || len(lost) != tc.lost || len(foreign) != tc.foreign {
				t.Errorf("%d were acknowledged, lost are %q, foreign %q", len(due), lost, foreign)
			}
			if err := l.violated(); (err == nil) != (tc.wrong == "") || err != nil && !strings.Contains(err.Error(), tc.wrong) {
				t.Errorf("the clients say %v, want %q", err, tc.wrong)
			}
		})
	}
}

// A reader that does not find what was acknowledged, or finds it otherwise, says so.
func TestLedgerReader(t *testing.T) {
	t.Parallel()
	for wrong, object := range map[string]*configMap{
		"":        {Metadata: objectMeta{Name: "k-000001", ResourceVersion: "7"}},
		"404":     nil,
		"another": {Metadata: objectMeta{Name: "k-000001", ResourceVersion: "7"}, Data: map[string]string{"value": "spoiled"}},
		"is of":   {Metadata: objectMeta{Name: "k-000001", ResourceVersion: "8"}},
	} {
		t.Run(wrong, func(t *testing.T) {
			t.Parallel()
			l := newLedger("test", func(string) {})
			l.acknowledge(entry{name: "k-000001", revision: 7, at: time.Now()})
			s := &store{objects: map[string]configMap{}}
			if object != nil {
				if object.Data == nil {
					object.Data = map[string]string{"value": l.value("k-000001")}
				}
				s.objects["k-000001"] = *object
			}
			server := httptest.NewTLSServer(s)
			defer server.Close()
			ctx, cancel := context.WithCancel(t.Context())
			s.breaks = func(_ *store, number int, _ http.ResponseWriter, _ *http.Request) bool {
				if number == 2 {
					cancel()
				}
				return false
			}
			(&client{ledger: l, what: readsThrough, server: server.URL, dial: (&net.Dialer{}).DialContext, tls: trustOf(server)}).read(ctx)
			if err := l.violated(); (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) {
				t.Errorf("it says %v, want %q", err, wrong)
			}
			if err := l.since(time.Time{}, readsThrough); (err == nil) != (wrong == "") {
				t.Errorf("a success: %v", err)
			}
		})
	}
}

// An interruption is the longest silence that touches the span: also one that began
// before it, or has not ended.
func TestLongestInterruption(t *testing.T) {
	at := func(seconds ...float64) (times []time.Time) {
		for _, s := range seconds {
			times = append(times, time.Unix(0, int64(s*1e9)))
		}
		return times
	}
	from, to := at(10)[0], at(20)[0]
	for _, tc := range []struct {
		name string
		at   []time.Time
		want float64
	}{
		{"steady", at(9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21), 1},
		{"in between", at(9.5, 10.5, 14, 15, 16, 17, 18, 19, 19.5), 3.5},
		{"begins before", at(1, 2, 8, 12, 14, 16, 18, 19.5), 4},
		{"has not ended", at(9.5, 11), 9},
		{"ends after", at(9.5, 11, 25), 14},
		{"before counts for nothing", at(1, 9.5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20), 1},
		{"never", nil, 10},
	} {
		if got := longestGap(tc.at, from, to).Seconds(); got != tc.want {
			t.Errorf("%s: %v s, want %v", tc.name, got, tc.want)
		}
	}
}

// After a restore those writes count that the snapshot has, and those since.
func TestLedgerRestored(t *testing.T) {
	l := newLedger("test", func(string) {})
	now := time.Now()
	l.acknowledge(entry{name: "before", at: now.Add(-3 * time.Hour)})
	l.acknowledge(entry{name: "gone", at: now.Add(-time.Hour)})
	l.restored(now.Add(-2 * time.Hour))
	l.acknowledge(entry{name: "after", at: time.Now().Add(time.Second)})
	due, _ := l.all()
	var names []string
	for _, e := range due {
		names = append(names, e.name)
	}
	if fmt.Sprint(names) != "[before after]" {
		t.Errorf("due are %v", names)
	}
}
