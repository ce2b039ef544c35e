package etcd

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
)

// bare is a master with empty disks and so many KiB of memory.
func bare(t *testing.T, kib string) *node {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"/proc", filepath.Dir(candidatePath), dataPath} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "/proc/meminfo"), []byte("MemTotal:       8000000 kB\nMemAvailable:   "+kib+" kB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &node{o: Options{Root: root, Timeout: time.Second, Stall: time.Second, Rand: rand.Reader}, self: Slot{Name: "master-1"}, addresses: map[string]string{},
		http: http.DefaultClient, fault: func(string) error { return nil }}
}

// unrestorable wants the code of a restore that cannot be, and words in its reason.
func unrestorable(t *testing.T, err error, words ...string) {
	t.Helper()
	f, ok := errors.AsType[*bootcode.Failure](err)
	if !ok || f.Code.Number != bootcode.EtcdRestore {
		t.Fatalf("%v", err)
	}
	for _, w := range words {
		if !strings.Contains(f.Why, w) {
			t.Errorf("no %q in %q", w, f.Why)
		}
	}
}

// A snapshot that would not go into memory is refused with both numbers, before any of
// it is there: on its way, and again when it is to be restored.
func TestSnapshotLargerThanMemory(t *testing.T) {
	n := bare(t, "4096")
	large := make([]byte, 4<<20)
	if err := os.WriteFile(n.path(candidatePath), large, 0o600); err != nil {
		t.Fatal(err)
	}
	hash := hex.EncodeToString(make([]byte, hashSize))
	n.candidate.Store(&candidate{hash: hash})
	n.line.restored = hash
	unrestorable(t, n.restoreData(""), "5242880 bytes of memory", "4194304 are available")

	n.candidate.Store(nil)
	n.restore = "/large.db.age"
	if err := os.WriteFile(n.path(n.restore), large, 0o600); err != nil {
		t.Fatal(err)
	}
	unrestorable(t, n.fetch(t.Context()), "bytes of memory", "4194304 are available")
	if err := n.memoryHolds(3 << 20); err != nil { // 3.75 MiB of 4
		t.Error(err)
	}
}

// What the disk does not hold ends before the disk is full.
func TestSnapshotLargerThanTheDisk(t *testing.T) {
	var disk bytes.Buffer
	n := bare(t, "8000000")
	a := &arrival{n: n, to: &disk, room: 10, timer: time.NewTimer(time.Hour)}
	if _, err := io.Copy(a, strings.NewReader("0123456789")); err != nil {
		t.Error(err)
	}
	if _, err := a.Write([]byte("0")); !errors.Is(err, errNoRoom) || disk.Len() != 10 {
		t.Errorf("%d bytes: %v", disk.Len(), err)
	}
	if room, err := diskRoom(n.path(candidatePath), n.path(dataPath)+"/absent"); err != nil || room <= 0 {
		t.Errorf("%d: %v", room, err)
	}
}

// A source that stops in the middle is given up; one that is slow is not.
func TestSourceThatStalls(t *testing.T) {
	gone := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 35 {
			io.WriteString(w, "part")
			w.(http.Flusher).Flush()
			time.Sleep(100 * time.Millisecond)
		}
		if r.URL.Path == "/stalls" {
			<-r.Context().Done()
			close(gone)
		}
	}))
	defer server.Close()
	n := bare(t, "8000000")
	n.o.Stall = 3 * time.Second // longer than a busy machine pauses, shorter than the slow source takes
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	from := func(path string) func(context.Context, io.Writer) error {
		return func(ctx context.Context, to io.Writer) error { return n.download(ctx, server.URL+path, to) }
	}
	var got bytes.Buffer
	if err := n.arrive(ctx, &got, from("/slow")); err != nil || got.String() != strings.Repeat("part", 35) {
		t.Errorf("%q: %v", &got, err)
	}
	if err := n.adopt(ctx, from("/stalls")); err == nil || !strings.Contains(err.Error(), "nothing came for 3s") {
		t.Error(err)
	}
	<-gone
	if left, err := os.ReadDir(filepath.Dir(n.path(candidatePath))); err != nil || len(left) > 0 {
		t.Errorf("left on the disk: %v %v", left, err)
	}
}
