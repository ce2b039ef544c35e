package snapshot

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	form "github.com/imgforge/imgforge/internal/snapshot"
)

// Whoever holds the lock and is stuck keeps nobody for ever: not a service that is told
// to end, nor a person who waits. When it lets go, the next one has its turn.
func TestStuckHolder(t *testing.T) {
	s := newStandIn(t)
	unlock, err := s.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.take(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("told to end: %v", err)
	}
	s.patience = time.Millisecond
	if _, err := s.take(t.Context()); err == nil || !strings.Contains(err.Error(), "/run/imgforge/snapshot.lock is held by another process for more than 1ms") {
		t.Errorf("waiting: %v", err)
	}
	unlock()
	s.patience = lockWait
	if _, err := s.take(t.Context()); err != nil {
		t.Error(err)
	}
}

// A master that offers more than a snapshot may have, or more than the disk has room
// for, fills no disk: what was there stays, and nothing unfinished is left.
func TestTooLargeToCopy(t *testing.T) {
	for _, tc := range []struct {
		name    string
		length  int64 // what the other one announces; -1: nothing
		largest int64
		code    int
		says    string
	}{
		{"more than is announced", -1, 1000, bootcode.SnapshotFailed, "is larger than 1000 bytes"},
		{"announced", 1001, 1000, bootcode.SnapshotFailed, "1001 bytes are more than the 1000 that one may have"},
		{"no room", 1 << 60, 1 << 61, bootcode.SnapshotDisk, "no space left on device"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			leader, other := newStandIn(t), newStandIn(t)
			if _, err := other.take(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := other.files(t)
			leader.now = leader.now.Add(time.Hour)
			other.now = leader.now
			if _, err := leader.take(t.Context()); err != nil {
				t.Fatal(err)
			}
			other.leads, other.others, other.largest = false, []string{"127.0.0.2"}, tc.largest
			other.http.Transport = answers(func(r *http.Request) *http.Response {
				if !strings.HasPrefix(r.URL.Host, "127.0.0.2") {
					return other.answer(r)
				}
				resp := leader.answer(r)
				resp.ContentLength = tc.length
				return resp
			})
			err := other.copyNewest(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.says) || codeOf(err).Code.Number != tc.code {
				t.Errorf("%v", err)
			}
			if after := other.files(t); !slices.Equal(before, after) {
				t.Errorf("%v became %v", before, after)
			}
		})
	}
}

// What another master calls a snapshot and is none stays where it is.
func TestForeignNames(t *testing.T) {
	s := newStandIn(t)
	if err := os.MkdirAll(s.folder(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.folder(), "etcd-x.db.age"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet, "https://127.0.0.1:2383"+SharePath+"/etcd-x.db.age", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp := s.answer(req); resp.StatusCode != http.StatusNotFound {
		t.Errorf("it answers %d", resp.StatusCode)
	}
	if names, err := List(s.folder()); err != nil || !slices.Equal(names, []form.Name(nil)) {
		t.Errorf("%v %v", names, err)
	}
}
