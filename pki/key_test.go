package pki

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// seeded is entropy that anybody can repeat.
func seeded() *bytes.Reader { return bytes.NewReader(bytes.Repeat([]byte{0xa5, 0x5a, 0x01, 0xff}, 8)) }

// wg derives the public half itself, and prints a key back as it was written
// only when it is clamped.
func TestWireGuardKeysAsWgReadsThem(t *testing.T) {
	wg := testtool.Path(t, "wg")
	p, err := newKey(plan.Key{ID: "a/wireguard", Kind: "wireguard"}, algorithm{}, seeded())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(wg, "pubkey")
	cmd.Stdin = bytes.NewReader(append(bytes.Clone(p.secret), '\n'))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(out)); got != string(p.public) {
		t.Errorf("wg derives %s, not %s", got, p.public)
	}
	if want := "oFoB/6VaAf+lWgH/pVoB/6VaAf+lWgH/pVoB/6VaAX8="; string(p.secret) != want {
		t.Errorf("private half %s of this entropy is not the clamped %s", p.secret, want)
	}
}

func TestKeyForms(t *testing.T) {
	tests := []struct {
		kind           string
		secret, public string // beginnings
		length         int    // of the secret, where it is fixed
	}{
		{"ecdsa", "-----BEGIN EC PRIVATE KEY-----\n", "-----BEGIN PUBLIC KEY-----\n", 0},
		{"rsa", "-----BEGIN RSA PRIVATE KEY-----\n", "-----BEGIN PUBLIC KEY-----\n", 0},
		{"ed25519", "-----BEGIN PRIVATE KEY-----\n", "-----BEGIN PUBLIC KEY-----\n", 119},
		{"tinc-rsa", "-----BEGIN RSA PRIVATE KEY-----\n", "-----BEGIN RSA PUBLIC KEY-----\n", 0},
		{"tinc-ed25519", "-----BEGIN ED25519 PRIVATE KEY-----\n", "", 200},
		{"wireguard", "", "", 44},
		{"random32", "", "", 44},
	}
	for _, tt := range tests {
		p, err := newKey(plan.Key{ID: "k", Kind: tt.kind}, algorithm{}, seeded())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(p.secret), tt.secret) || !strings.HasPrefix(string(p.public), tt.public) {
			t.Errorf("%s: forms %.40q, %.40q", tt.kind, p.secret, p.public)
		}
		if tt.length > 0 && len(p.secret) != tt.length {
			t.Errorf("%s: %d characters", tt.kind, len(p.secret))
		}
		if hasPublic := p.public != nil; hasPublic != (tt.kind != "random32") {
			t.Errorf("%s: public half: %v", tt.kind, hasPublic)
		}
	}
	if _, err := newKey(plan.Key{ID: "k", Kind: "tinc-rsb"}, algorithm{}, seeded()); err == nil || err.Error() != `make key k: kind "tinc-rsb" is not known` {
		t.Errorf("error %v", err)
	}
}

// The same key comes out of the store as went in, in both halves.
func TestKeysComeBackInTheirForms(t *testing.T) {
	p := cluster(1, 0)
	p.Keys = append(p.Keys, plan.Key{ID: "operator/ana/tinc-rsa", Kind: "tinc-rsa", Public: true})
	s := made(t, p, Options{})
	again := reopen(t, s, Identities{Leaf: s.ids.Leaf})
	for _, k := range p.Keys {
		secret, err := again.Secret(k.ID)
		if err != nil {
			t.Fatal(err)
		}
		pem := bytes.HasPrefix(secret, []byte("-----BEGIN "))
		if pem != bytes.HasSuffix(secret, []byte("\n")) {
			t.Errorf("%s: a line break is missing or too much", k.ID)
		}
		if !k.Public {
			continue
		}
		public, err := again.Public(k.ID)
		if err != nil {
			t.Fatal(err)
		}
		pem = bytes.HasPrefix(public, []byte("-----BEGIN "))
		if len(public) == 0 || pem != bytes.HasSuffix(public, []byte("\n")) {
			t.Errorf("%s: a line break is missing or too much in %q", k.ID, public)
		}
	}
	// A caller may change what it was given.
	one, _ := again.Secret("encryption")
	one[0] ^= 1
	if two, _ := again.Secret("encryption"); bytes.Equal(one, two) {
		t.Error("the store handed out its own memory")
	}
}
