package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
)

func testKey(t *testing.T, b byte) Key {
	t.Helper()
	k, err := NewKey(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// plainOf is a snapshot as etcd sends one, in uneven parts.
func plainOf(size int) []byte {
	data := make([]byte, size)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	sum := sha256.Sum256(data)
	return append(data, sum[:]...)
}

func inParts(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		for size := 1; len(data) > 0; size = size*3 + 1 {
			n := min(size, len(data))
			if _, err := w.Write(data[:n]); err != nil {
				return err
			}
			data = data[n:]
		}
		return nil
	}
}

func sealed(t *testing.T, k Key, plain []byte, recipients ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Seal(&b, k, recipients, Label{Cluster: "nostromo", Revision: 7}, inParts(plain)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A snapshot opens with the masters' key and with a recipient's identity, of either
// strength, and with nothing else.
func TestWhoOpensASnapshot(t *testing.T) {
	k, plain := testKey(t, 1), plainOf(100_000)
	person, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	strong, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name      string
		recipient string
		id        age.Identity
	}{{"x25519", person.Recipient().String(), person}, {"hybrid", strong.Recipient().String(), strong}} {
		data := sealed(t, k, plain, tc.recipient)
		for _, id := range []age.Identity{k, tc.id} {
			var out bytes.Buffer
			l, err := Open(&out, bytes.NewReader(data), id)
			if err != nil || !bytes.Equal(out.Bytes(), plain) || l.Cluster != "nostromo" || l.Revision != 7 {
				t.Errorf("%s: %v, %d bytes, %+v", tc.name, err, out.Len(), l)
			}
		}
		if _, err := Open(io.Discard, bytes.NewReader(data), testKey(t, 2)); !errors.Is(err, ErrForeign) {
			t.Errorf("another cluster's key: %v", err)
		}
	}
	// What only a recipient's public half made is no snapshot for masters.
	var forged bytes.Buffer
	w, err := age.Encrypt(&forged, person.Recipient())
	if err == nil {
		_, err = w.Write(append([]byte(`{"imgforge":1,"cluster":"nostromo"}`+"\n"), plain...))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(io.Discard, &forged, k); !errors.Is(err, ErrForeign) {
		t.Errorf("a forged snapshot: %v", err)
	}
}

// Every cut and every flipped byte is noticed, in the sealed file and in what etcd sent.
func TestDamageIsNoticed(t *testing.T) {
	k := testKey(t, 1)
	plain := plainOf(3000)
	data := sealed(t, k, plain)
	for at := range len(data) {
		if _, err := Open(io.Discard, bytes.NewReader(data[:at]), k); err == nil {
			t.Fatalf("cut at %d of %d", at, len(data))
		}
		bad := bytes.Clone(data)
		bad[at] ^= 1
		if _, err := Open(io.Discard, bytes.NewReader(bad), k); err == nil {
			t.Fatalf("flipped at %d of %d", at, len(data))
		}
	}
	for _, bad := range [][]byte{nil, plain[:len(plain)-1], plain[1:], plainOf(0), plain[:31]} {
		if err := Seal(io.Discard, k, nil, Label{}, inParts(bad)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d of %d bytes from etcd: %v", len(bad), len(plain), err)
		}
	}
}

func TestNames(t *testing.T) {
	n := Name{time.Date(2026, 11, 21, 18, 30, 0, 0, time.UTC), 12345}
	if got, ok := ParseName(n.String()); !ok || got != n || n.String() != "etcd-20261121T183000Z-r0000012345.db.age" {
		t.Errorf("%s %v %v", n, got, ok)
	}
	for _, other := range []string{Latest, "etcd-20261399T183000Z-r0000012345.db.age", "x" + n.String(), n.String() + "x", ".imgforge-tmp-1", "etcd-20261121T183000Z-r00000000000000012345.db.age"} {
		if got, ok := ParseName(other); ok {
			t.Errorf("%s is %v", other, got)
		}
	}
}

// The rule keeps the union of its parts, and always the newest.
func TestRule(t *testing.T) {
	start := time.Date(2026, 11, 1, 0, 30, 0, 0, time.UTC)
	var hourly []Name
	for i := range 24 * 20 {
		hourly = append(hourly, Name{start.Add(time.Duration(i) * time.Hour), int64(i)})
	}
	kept := func(r Rule, names []Name) (out []string) {
		gone := r.Surplus(names)
		for _, n := range names {
			if !slices.Contains(gone, n) {
				out = append(out, n.Time.Format("02T15"))
			}
		}
		return out
	}
	last := kept(Rule{Last: 24, Daily: 7}, hourly)
	// The newest 24 are those of the 20th; of the six days before the newest of each.
	if len(last) != 30 || strings.Join(last[:6], " ") != "14T23 15T23 16T23 17T23 18T23 19T23" || last[6] != "20T00" {
		t.Errorf("%d: %v", len(last), last)
	}
	if got := kept(Rule{Last: 1, Weekly: 3}, hourly); strings.Join(got, " ") != "08T23 15T23 20T23" {
		t.Errorf("weekly: %v", got)
	}
	if got := kept(Rule{}, hourly[:1]); len(got) != 1 {
		t.Errorf("the only one is gone under an empty rule: %v", got)
	}
	slices.Reverse(hourly)
	if got := kept(Rule{Last: 2}, hourly); strings.Join(got, " ") != "20T23 20T22" {
		t.Errorf("order of the list matters: %v", got)
	}
}

// The latest by name is doubted when another one holds more, and only then.
func TestConfirm(t *testing.T) {
	at := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	a, b, c := Name{at, 5}, Name{at.Add(time.Hour), 9}, Name{at.Add(2 * time.Hour), 7}
	for _, ok := range [][]Name{nil, {b}, {a, b}} {
		if err := b.Confirm(ok); err != nil {
			t.Errorf("%v: %v", ok, err)
		}
	}
	if err := c.Confirm([]Name{a, b, c}); err == nil || !strings.Contains(err.Error(), b.String()) || !strings.Contains(err.Error(), c.String()) {
		t.Error(err)
	}
}
