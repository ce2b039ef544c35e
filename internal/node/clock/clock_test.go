package clock

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/testtool"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The life of the leaves in these tests.
func begin() time.Time  { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
func end() time.Time    { return time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC) }
func within() time.Time { return begin().AddDate(0, 6, 0) }

// clocked is a node whose clock a test sets.
type clocked struct {
	t    *testing.T
	root string
	now  time.Time
	// says is called with each line that the step says, and may change the node.
	says  func(line string)
	lines []string
}

func newClocked(t *testing.T, now time.Time) *clocked {
	c := &clocked{t: t, root: t.TempDir(), now: now, says: func(string) {}}
	c.certificate("/etc/kubernetes/pki/ca", true, begin().AddDate(-9, 0, 0), begin().AddDate(-1, 0, 0)) // is no leaf
	c.leaf("/etc/kubernetes/pki/kubelet")
	c.leaf("/etc/kubernetes/pki/etcd/peer")
	return c
}

func (c *clocked) write(path string, data []byte) {
	c.t.Helper()
	path = filepath.Join(c.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *clocked) leaf(base string) { c.certificate(base, false, begin(), end()) }

// certificate writes a certificate and its key beside it.
func (c *clocked) certificate(base string, authority bool, from, to time.Time) []byte {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: base}, IsCA: authority, BasicConstraintsValid: true, NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		c.t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.write(base+".crt", text)
	c.write(base+".key", []byte("key"))
	return text
}

// Write takes what the log says, which comes in one piece a line.
func (c *clocked) Write(p []byte) (int, error) {
	c.lines = append(c.lines, strings.TrimSpace(string(p)))
	c.says(string(p))
	return len(p), nil
}

func (c *clocked) run(ctx context.Context, bound time.Duration) error {
	log := &step.Log{Root: c.root, Stderr: c, Now: time.Now}
	return Run(ctx, Options{Root: c.root, Report: log, Bound: bound, Pace: time.Millisecond,
		Now: func() time.Time { return c.now }, Kernel: func() bool { return false }})
}

func (c *clocked) last() string { return c.lines[len(c.lines)-1] }

// Whoever keeps the clock, the step ends at once.
func TestClockThatIsKept(t *testing.T) {
	for _, path := range []string{syncedPath, containerPath} {
		c := newClocked(t, within())
		c.write(path, nil)
		if err := c.run(t.Context(), time.Hour); err != nil || !strings.HasPrefix(c.last(), "imgforge: step time done: ") || len(c.lines) != 1 {
			t.Errorf("%s: %v, said %q", path, err, c.lines)
		}
	}
}

// It waits for a time server, and goes on as soon as there was one.
func TestClockIsWaitedFor(t *testing.T) {
	c := newClocked(t, within())
	c.says = func(line string) {
		if strings.Contains(line, "waits: ") {
			c.write(syncedPath, nil)
		}
	}
	if err := c.run(t.Context(), time.Hour); err != nil || c.last() != "imgforge: step time done: the clock is set (systemd-timesyncd)" {
		t.Errorf("%v, said %q", err, c.lines)
	}
}

// While the clock cannot be right the step holds on, also past its bound, and goes
// on by itself when it can.
func TestClockThatCannotBeRight(t *testing.T) {
	for number, wrong := range map[int]time.Time{bootcode.TimeBefore: begin().Add(-time.Second), bootcode.TimeAfter: end().Add(time.Second)} {
		c := newClocked(t, wrong)
		code := fmt.Sprintf("code %d ", number)
		c.says = func(line string) {
			if strings.Contains(line, code) {
				c.now = within()
			}
		}
		if err := c.run(t.Context(), time.Nanosecond); err != nil || !strings.Contains(c.last(), " 201 ") || !strings.Contains(c.lines[len(c.lines)-2], code) {
			t.Errorf("%s: %v, said %q", code, err, c.lines)
		}
	}
}

// A kubelet that has renewed its leaf through the API does not need its first.
func TestRotatedLeafCounts(t *testing.T) {
	c := newClocked(t, end().Add(time.Hour))
	if err := os.RemoveAll(filepath.Join(c.root, pkiPath, "etcd")); err != nil {
		t.Fatal(err)
	}
	c.write(rotatedPath, c.certificate("/tmp/newer", false, end().Add(-time.Hour), end().AddDate(1, 0, 0)))
	c.write(containerPath, nil)
	if err := c.run(t.Context(), time.Hour); err != nil {
		t.Error(err)
	}
	c.now = end().AddDate(2, 0, 0)
	ctx, cancel := context.WithCancel(t.Context())
	c.says = func(string) { cancel() }
	if err := c.run(ctx, time.Hour); !errors.Is(err, context.Canceled) || !strings.Contains(c.last(), " 203 ") {
		t.Errorf("when both have ended: %v, said %q", err, c.last())
	}
}

// Every code has one golden text, made by what causes it.
func TestEveryCodeHasItsText(t *testing.T) {
	for _, code := range bootcode.All() {
		if code.Step != step.Time || code.Number == bootcode.ClockDiffers {
			continue // it takes two nodes to see that
		}
		now := map[int]time.Time{bootcode.TimeUnset: within(), bootcode.TimeBefore: time.Unix(0, 0), bootcode.TimeAfter: end().AddDate(0, 0, 20)}[code.Number]
		c := newClocked(t, now)
		ctx, cancel := context.WithCancel(t.Context())
		c.says = func(line string) {
			if !strings.Contains(line, "waits: ") {
				cancel()
			}
		}
		if err := c.run(ctx, time.Second); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		testtool.BootCode(t, code, c.last()+"\n", *update)
	}
}
