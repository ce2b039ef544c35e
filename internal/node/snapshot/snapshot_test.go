package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/imgforge/imgforge/internal/artifact"
	form "github.com/imgforge/imgforge/internal/snapshot"
)

// standIn is a folder with a master's files, and an etcd that answers as its gateway
// does. The real one judges in package etcd.
type standIn struct {
	*master
	report   *reporter
	now      time.Time
	plain    []byte
	leads    bool
	revision int64
}

// answers lets a request go to a handler instead of a network.
type answers func(*http.Request) *http.Response

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r), nil }

type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(code int)        { r.code = code }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

func newStandIn(t *testing.T, recipients ...string) *standIn {
	t.Helper()
	root := t.TempDir()
	put := func(path string, data []byte, err error) {
		t.Helper()
		at := filepath.Join(root, path)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(at), 0o700)
		}
		if err == nil {
			err = os.WriteFile(at, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cluster, err := artifact.EncodeClusterFile(artifact.ClusterFile{Cluster: "nostromo", Role: "master", Etcd: artifact.ClusterEtcd{Token: "token", Recipients: recipients}})
	put(artifact.ClusterFilePath, cluster, err)
	me, err := artifact.EncodeNodeFile(artifact.NodeFile{Cluster: "nostromo", Node: "master-1", Role: "master", Slot: 1, Address: "127.0.0.1"})
	put(artifact.NodeFilePath, me, err)
	put(encryptionPath, []byte("      keys:\n      - name: key1\n        secret: \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"\n"), nil)
	s := &standIn{report: &reporter{}, now: time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC), leads: true, revision: 7}
	data := bytes.Repeat([]byte("a database "), 20_000)
	sum := sha256.Sum256(data)
	s.plain = append(data, sum[:]...)
	m, err := load(Options{Root: root, Report: s.report, Now: func() time.Time { return s.now }})
	if err != nil {
		t.Fatal(err)
	}
	m.http = &http.Client{Transport: answers(s.answer)}
	s.master = m
	return s
}

func (s *standIn) answer(r *http.Request) *http.Response {
	w := &recorder{header: http.Header{}, code: http.StatusOK}
	switch r.URL.Path {
	case "/v3/maintenance/status":
		leader := 2
		if s.leads {
			leader = 1
		}
		fmt.Fprintf(&w.body, `{"header":{"cluster_id":"99","member_id":"1","revision":"%d"},"leader":"%d"}`, s.revision, leader)
	case "/v3/maintenance/snapshot":
		for part := range slices.Chunk(s.plain, 32<<10) {
			text, _ := json.Marshal(part)
			fmt.Fprintf(&w.body, "{\"result\":{\"remaining_bytes\":\"1\",\"blob\":%s}}\n", text)
		}
	default:
		mux := http.NewServeMux()
		Share(mux, s.o.Root)
		mux.ServeHTTP(w, r)
	}
	resp := &http.Response{StatusCode: w.code, Status: fmt.Sprint(w.code), Header: w.header, Request: r}
	resp.Body = struct {
		*bytes.Reader
		closer
	}{Reader: bytes.NewReader(w.body.Bytes())}
	return resp
}

type closer struct{}

func (closer) Close() error { return nil }

// files are the names in the folder.
func (s *standIn) files(t *testing.T) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(s.folder())
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// The leader takes a snapshot when one is due, seals it to the recipients too, and
// names it latest; nothing in the clear is ever on the disk.
func TestLeaderTakesSnapshots(t *testing.T) {
	person, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	s := newStandIn(t, person.Recipient().String())
	s.o.fault = func(string) error {
		for _, name := range s.files(t) {
			data, err := os.ReadFile(filepath.Join(s.folder(), name))
			if err == nil && bytes.Contains(data, []byte("a database")) {
				t.Errorf("%s is in the clear", name)
			}
		}
		return nil
	}
	begun := s.now
	for range 30 {
		s.turn(t.Context(), begun)
		s.turn(t.Context(), begun) // not due
		s.now, s.revision = s.now.Add(time.Hour), s.revision+10
	}
	names, err := List(s.folder())
	if err != nil || len(names) != 25 { // 24, and the newest of the first day
		t.Fatalf("%d %v", len(names), err)
	}
	f, err := os.Open(filepath.Join(s.folder(), form.Latest))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	var out bytes.Buffer
	l, err := form.Open(&out, f, person)
	if err != nil || !bytes.Equal(out.Bytes(), s.plain) || l.Revision != 297 || l.Node != "master-1" || l.Etcd != "63" {
		t.Errorf("%v %d bytes %+v", err, out.Len(), l)
	}
	if last := s.report.texts[len(s.report.texts)-1]; !strings.HasPrefix(last, "the newest is etcd-20261122T230000Z-r0000000297.db.age, ") {
		t.Errorf("it says %q", last)
	}
}

// Killed at any step, or with a bad snapshot from etcd, the older ones stay, no half
// one has a name, and the next try is whole and leaves nothing behind.
func TestKilledWhileWriting(t *testing.T) {
	for _, step := range []string{"written", "checked", "named", "bad"} {
		s := newStandIn(t)
		if _, err := s.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := s.files(t)
		s.now, s.revision = s.now.Add(time.Hour), 8
		good := s.plain
		s.o.fault = func(at string) error {
			if at == step {
				return errors.New("killed")
			}
			return nil
		}
		if step == "bad" {
			s.plain = bytes.Clone(good)
			s.plain[100] ^= 1
		}
		if _, err := s.take(t.Context()); err == nil {
			t.Fatalf("%s: no error", step)
		}
		after := s.files(t)
		if !slices.ContainsFunc(after, func(n string) bool { return n == before[0] }) || step != "named" && len(after) != len(before) {
			t.Errorf("%s: %v, then %v", step, before, after)
		}
		// A process that ends leaves its unfinished file behind.
		if err := os.WriteFile(filepath.Join(s.folder(), ".imgforge-tmp-123"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.o.fault, s.plain = func(string) error { return nil }, good
		if _, err := s.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.files(t); len(got) != 3 || slices.Contains(got, ".imgforge-tmp-123") {
			t.Errorf("%s: %v", step, got)
		}
		if to, err := os.Readlink(filepath.Join(s.folder(), form.Latest)); err != nil || to != "etcd-20261121T190000Z-r0000000008.db.age" {
			t.Errorf("%s: latest is %s %v", step, to, err)
		}
	}
}

// A master that does not lead copies the newest, and takes none that does not open or
// whose time lies ahead. A snapshot of the future stops no leader either.
func TestOthersCopy(t *testing.T) {
	leader, other := newStandIn(t), newStandIn(t)
	if _, err := leader.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	other.leads, other.others = false, []string{"127.0.0.2"}
	other.http.Transport = answers(func(r *http.Request) *http.Response {
		if strings.HasPrefix(r.URL.Host, "127.0.0.2") {
			return leader.answer(r)
		}
		return other.answer(r)
	})
	other.turn(t.Context(), other.now)
	if got := other.files(t); len(got) != 2 {
		t.Fatalf("it has %v and says %v", got, other.report.texts)
	}
	ahead := form.Name{Time: leader.now.Add(24 * time.Hour), Revision: 9}
	if err := os.WriteFile(filepath.Join(leader.folder(), ahead.String()), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	other.turn(t.Context(), other.now)
	if got := other.files(t); len(got) != 2 {
		t.Errorf("it copied one of the future: %v", got)
	}
	if leader.now = leader.now.Add(time.Hour); !leader.due() {
		t.Error("one of the future keeps the leader from its work")
	}
	bad := form.Name{Time: leader.now, Revision: 10}
	if err := os.Remove(filepath.Join(leader.folder(), ahead.String())); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(leader.folder(), bad.String()), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	other.now = leader.now
	other.turn(t.Context(), other.now)
	if got := other.files(t); len(got) != 2 || !strings.Contains(strings.Join(other.report.texts, "\n"), "531 snapshot-failed") {
		t.Errorf("it has %v and says %v", got, other.report.texts)
	}
}

// Snapshots that a clock in the future has named neither push out those of now, nor
// stand for the latest one; when their time has come they are like any other.
func TestFutureSnapshots(t *testing.T) {
	s := newStandIn(t)
	s.plan.Last, s.plan.Daily, s.plan.Weekly = 1, 0, 0
	begun := s.now
	s.now = s.now.Add(24 * time.Hour)
	s.turn(t.Context(), begun)
	s.now, s.revision = begun, 8
	s.turn(t.Context(), begun)
	future, now := "etcd-20261122T180000Z-r0000000007.db.age", "etcd-20261121T180000Z-r0000000008.db.age"
	latest := func() string {
		t.Helper()
		to, err := os.Readlink(filepath.Join(s.folder(), form.Latest))
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	if got := s.files(t); !slices.Equal(got, []string{now, future, form.Latest}) || latest() != now {
		t.Errorf("%v, the latest is %s", got, latest())
	}
	s.now, s.revision = begun.Add(48*time.Hour), 9
	s.turn(t.Context(), begun)
	if got := s.files(t); len(got) != 2 || latest() != "etcd-20261123T180000Z-r0000000009.db.age" {
		t.Errorf("%v, the latest is %s", got, latest())
	}
}

// large is a snapshot of so many bytes.
func large(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * i >> 8)
	}
	sum := sha256.Sum256(data)
	return append(data, sum[:]...)
}
