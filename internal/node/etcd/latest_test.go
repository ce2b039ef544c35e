package etcd

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/node/snapshot"
	form "github.com/imgforge/imgforge/internal/snapshot"
)

// Of two snapshots, ahead was named by a clock that was a day ahead, and right holds more.
func twoNames() (ahead, right form.Name) {
	at := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	return form.Name{Time: at.Add(24 * time.Hour), Revision: 7}, form.Name{Time: at, Revision: 9}
}

// The latest of a folder is doubted when another one there holds more; an exact name, a
// file that a person put there, and a link to the one that holds most are not.
func TestLatestOfAFolder(t *testing.T) {
	ahead, right := twoNames()
	n := bare(t, "8000000")
	folder := n.path(snapshot.Folder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []form.Name{ahead, right} {
		if err := os.WriteFile(filepath.Join(folder, name.String()), []byte(name.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	latest := filepath.Join(folder, form.Latest)
	read := func(name, want string) {
		t.Helper()
		var got bytes.Buffer
		n.restore = filepath.Join(snapshot.Folder, name)
		if err := n.source(t.Context(), &got); err != nil || got.String() != want {
			t.Errorf("%s: %q %v", name, &got, err)
		}
	}
	if err := os.Symlink(right.String(), latest); err != nil {
		t.Fatal(err)
	}
	read(form.Latest, right.String())
	read(ahead.String(), ahead.String())
	if err := os.Remove(latest); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(ahead.String(), latest); err != nil {
		t.Fatal(err)
	}
	n.restore = filepath.Join(snapshot.Folder, form.Latest)
	unrestorable(t, n.fetch(t.Context()), ahead.String(), right.String(), "exact name")
	if err := os.Remove(latest); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(latest, []byte("by hand"), 0o600); err != nil {
		t.Fatal(err)
	}
	read(form.Latest, "by hand")
}

// Masters that found different latest ones take neither while the later one holds less,
// unless one of them is promised already; an exact name decides.
func TestLatestOfMasters(t *testing.T) {
	ahead, right := twoNames()
	l := newLab(t, "", 3, 3)
	one, two := asker(t, l.node(1)), answering(t, l.node(2))
	name := func(b byte) string { return strings.Repeat(fmt.Sprintf("%02x", b), hashSize) }
	first, second := &candidate{name(1), ahead}, &candidate{name(2), right}
	for range 2 {
		one.candidate.Store(first)
		two.candidate.Store(second)
		one.restore = filepath.Join(snapshot.Folder, form.Latest)
		unrestorable(t, one.fetch(t.Context()), "master-2", ahead.String(), right.String(), "exact name")
		one.restore = filepath.Join(snapshot.Folder, first.at.String())
		if err := one.fetch(t.Context()); err != nil || one.candidate.Load() != first {
			t.Errorf("%s: %v", one.restore, err)
		}
		first, second = second, first
	}
	one.candidate.Store(second)
	one.restore = filepath.Join(snapshot.Folder, form.Latest)
	one.line = one.lineageOf(second.hash)
	if err := one.remember(Agreed, 0); err != nil {
		t.Fatal(err)
	}
	two.candidate.Store(first)
	if err := one.fetch(t.Context()); err != nil || one.candidate.Load() != second {
		t.Errorf("a promise: %v", err)
	}
}

// A snapshot that an earlier payload brought is not taken for another one that this
// payload names.
func TestExactNameAfterAnother(t *testing.T) {
	ahead, right := twoNames()
	n := asker(t, newLab(t, "", 1, 1).node(1))
	key, err := snapshot.ReadKey(n.o.Root)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 4096)
	sum := sha256.Sum256(data)
	var sealed bytes.Buffer
	err = form.Seal(&sealed, key, nil, form.Label{Cluster: "nostromo", Token: n.token, Revision: ahead.Revision, Time: ahead.Time},
		func(w io.Writer) error { _, err := w.Write(append(data, sum[:]...)); return err })
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(n.path(candidatePath)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.path(candidatePath), sealed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{form.Latest: true, ahead.String(): true, right.String(): false} {
		n.candidate.Store(nil)
		n.restore = filepath.Join(snapshot.Folder, name)
		if err := n.recover(); err != nil || (n.candidate.Load() != nil) != want {
			t.Errorf("%s: %v %v", name, n.candidate.Load(), err)
		}
	}
	n.restore = filepath.Join(snapshot.Folder, right.String())
	n.candidate.Store(nil)
	if err := n.recover(); err != nil {
		t.Fatal(err)
	}
	unrestorable(t, n.fetch(t.Context()), "no master has this file")
}
