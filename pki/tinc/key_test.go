package tinc

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"math/big"
	"strings"
	"testing"
)

// seed is 32 bytes that anybody can write down, for a key that nobody uses.
func seed() []byte {
	s := make([]byte, 32)
	for i := range s {
		s[i] = byte(i*7 + 3)
	}
	return s
}

// The expected text was written by tinc's own C code (1.1pre18:
// ed25519_create_keypair and b64encode_tinc) from the same seed.
func TestEd25519AsTincWritesIt(t *testing.T) {
	k, err := NewEd25519(bytes.NewReader(seed()))
	if err != nil {
		t.Fatal(err)
	}
	private := "-----BEGIN ED25519 PRIVATE KEY-----\n" +
		"ADpL2DQwICfqwOdLehX74bo1Yco5YiqGriATPa42+/GXLVqomIOsxozg3dUwgqpV\n" +
		"xy+nSd0mvlZWsuRDM0DNlVHXMlbJsdazEza/G/s7aTIkXUeu5HlTZmxGW73CNIkd\n" +
		"-----END ED25519 PRIVATE KEY-----\n"
	if string(k.Private) != private {
		t.Errorf("private half\n%swant\n%s", k.Private, private)
	}
	if want := "1xFT5WCbn2Mxs2vxP7u2EC5Flnb+R5UmZsh1+tQDCZH"; string(k.Public) != want {
		t.Errorf("public half %s, want %s", k.Public, want)
	}
}

// The stored scalar and the public half are one key: X25519 of the scalar gives
// the Montgomery form, u = (1+y)/(1-y) mod 2^255-19, of the public point.
func TestEd25519HalvesBelongTogether(t *testing.T) {
	for range 8 {
		k, err := NewEd25519(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(k.Private), "\n")
		raw := append(decode(t, lines[1]), decode(t, lines[2])...)
		if len(raw) != 96 {
			t.Fatalf("private half has %d bytes", len(raw))
		}
		if public := decode(t, string(k.Public)); len(k.Public) != 43 || !bytes.Equal(raw[64:], public) {
			t.Fatalf("public half %s is not the one in the private file", k.Public)
		}
		if raw[0]&7 != 0 || raw[31]&0xc0 != 0x40 {
			t.Error("scalar is not clamped")
		}
		scalar, err := ecdh.X25519().NewPrivateKey(raw[:32])
		if err != nil {
			t.Fatal(err)
		}
		if got, want := scalar.PublicKey().Bytes(), montgomery(raw[64:]); !bytes.Equal(got, want) {
			t.Errorf("scalar gives %x, public half %x", got, want)
		}
	}
}

func TestShortEntropyIsAnError(t *testing.T) {
	if _, err := NewEd25519(bytes.NewReader(seed()[:31])); err == nil {
		t.Error("a key was made of 31 bytes")
	}
}

func montgomery(public []byte) []byte {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	y := littleEndian(public)
	y.SetBit(y, 255, 0) // the sign of x
	one := big.NewInt(1)
	below := new(big.Int).ModInverse(new(big.Int).Mod(new(big.Int).Sub(one, y), p), p)
	u := below.Mul(below, new(big.Int).Add(one, y))
	out := u.Mod(u, p).FillBytes(make([]byte, 32))
	reverse(out)
	return out
}

func littleEndian(b []byte) *big.Int {
	c := bytes.Clone(b)
	reverse(c)
	return new(big.Int).SetBytes(c)
}

func reverse(b []byte) {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
}

// decode reads tinc's base64 as its b64decode_tinc does.
func decode(t *testing.T, s string) []byte {
	t.Helper()
	var out []byte
	for len(s) > 0 {
		n := min(4, len(s))
		var group uint32
		for i, c := range s[:n] {
			v := strings.IndexRune(alphabet, c)
			if v < 0 {
				t.Fatalf("%q is not of the alphabet", c)
			}
			group |= uint32(v) << (6 * i)
		}
		for range n - 1 {
			out = append(out, byte(group))
			group >>= 8
		}
		s = s[n:]
	}
	return out
}
