package pki

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/pki/tinc"
)

// kindUser is the kind of a secret that a person sets; the others are made here.
const kindUser = "user"

// pair is a key in its consumer's encoding; public is nil for what has none.
type pair struct{ secret, public []byte }

// newKey makes a key of the plan. Texts of one line have no line break at their
// end: they are values of a configuration line.
func newKey(k plan.Key, alg algorithm, random io.Reader) (pair, error) {
	p, err := makeKey(k.Kind, alg, random)
	if err != nil {
		return pair{}, fmt.Errorf("make key %s: %w", k.ID, err)
	}
	return p, nil
}

func makeKey(kind string, alg algorithm, random io.Reader) (pair, error) {
	switch kind {
	case "ecdsa":
		return newSignerPair(algorithm{})
	case "rsa":
		if alg.rsaBits == 0 {
			alg.rsaBits = serviceAccountRSABits
		}
		return newSignerPair(alg)
	case "ed25519":
		return newEd25519(random)
	case "tinc-rsa":
		k, err := tinc.NewRSA()
		return pair{k.Private, k.Public}, err
	case "tinc-ed25519":
		k, err := tinc.NewEd25519(random)
		return pair{k.Private, k.Public}, err
	case "wireguard":
		return newWireGuard(random)
	case "random32":
		b := make([]byte, 32)
		if _, err := io.ReadFull(random, b); err != nil {
			return pair{}, err
		}
		return pair{secret: encode64(b)}, nil
	}
	return pair{}, fmt.Errorf("kind %q is not known", kind)
}

func newSignerPair(alg algorithm) (pair, error) {
	key, err := alg.generate()
	if err != nil {
		return pair{}, err
	}
	secret, err := encodeKey(key)
	if err != nil {
		return pair{}, err
	}
	public, err := encodePublic(key.Public())
	return pair{secret, public}, err
}

// newEd25519 makes a key for signatures in the forms that OpenSSL reads: PKCS #8 and PKIX.
func newEd25519(random io.Reader) (pair, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return pair{}, err
	}
	key := ed25519.NewKeyFromSeed(seed)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	public, err := encodePublic(key.Public())
	return pair{pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), public}, err
}

// newWireGuard makes a Curve25519 key as `wg genkey` does: clamped when made, so
// that what wg prints back is what was written.
func newWireGuard(random io.Reader) (pair, error) {
	b := make([]byte, 32)
	if _, err := io.ReadFull(random, b); err != nil {
		return pair{}, err
	}
	b[0] &= 248
	b[31] = b[31]&127 | 64
	key, err := ecdh.X25519().NewPrivateKey(b)
	if err != nil {
		return pair{}, err
	}
	return pair{encode64(b), encode64(key.PublicKey().Bytes())}, nil
}

func encode64(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b)) }
