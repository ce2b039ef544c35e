// Package tinc makes keys in the forms that tincd reads: RSA for tinc 1.0 and
// Ed25519 for tinc 1.1. It writes no file and knows nothing of configuration.
package tinc

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
)

// RSABits is the key size that `tincd -K` chooses.
const RSABits = 2048

// Key is one key pair as text.
type Key struct {
	// Private is the contents of rsa_key.priv or ed25519_key.priv.
	Private []byte
	// Public is what stands in the host file: for RSA a PEM block, for Ed25519
	// the value of Ed25519PublicKey, 43 characters without a line break.
	Public []byte
}

// NewRSA makes a key for tinc 1.0. Both halves are PKCS#1, which is what tinc's
// PEM_read_RSAPrivateKey and PEM_read_RSAPublicKey expect; the PKIX form that
// most programs write for public keys is refused by tincd.
//
// The standard library makes a key of this size in a quarter to a third of the time
// that openssl 3.0 takes (see BenchmarkRSA), so there is no generator of our own.
func NewRSA() (Key, error) {
	k, err := rsa.GenerateKey(rand.Reader, RSABits)
	if err != nil {
		return Key{}, fmt.Errorf("make tinc RSA key: %w", err)
	}
	return Key{
		Private: pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}),
		Public:  pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&k.PublicKey)}),
	}, nil
}

// NewEd25519 makes a key for tinc 1.1 from 32 bytes of random.
//
// The private half is not the seed that everybody else stores but its expansion
// (RFC 8032, 5.1.5: SHA-512 of the seed with the first half clamped) followed by
// the public half: 96 bytes. tinc src/ed25519/keypair.c and ecdsagen.c.
func NewEd25519(random io.Reader) (Key, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return Key{}, fmt.Errorf("make tinc Ed25519 key: %w", err)
	}
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	expanded := sha512.Sum512(seed)
	expanded[0] &= 248
	expanded[31] &= 63
	expanded[31] |= 64
	return Key{
		Private: armor("ED25519 PRIVATE KEY", append(expanded[:], public...)),
		Public:  []byte(encode(public)),
	}, nil
}

// armor looks like PEM and is not: lines carry 48 bytes in tinc's own base64.
// tinc src/ed25519/ecdsagen.c, write_pem.
func armor(kind string, data []byte) []byte {
	const perLine = 48
	var b strings.Builder
	b.WriteString("-----BEGIN " + kind + "-----\n")
	for len(data) > 0 {
		n := min(perLine, len(data))
		b.WriteString(encode(data[:n]) + "\n")
		data = data[n:]
	}
	b.WriteString("-----END " + kind + "-----\n")
	return []byte(b.String())
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// encode is tinc's base64: the usual alphabet, but each group of three bytes is
// packed with the first byte lowest and written from the low end, without
// padding. encoding/base64 would give another key, and nobody would notice until
// two nodes refuse each other. tinc src/utils.c, b64encode_tinc.
func encode(data []byte) string {
	var b strings.Builder
	for len(data) > 0 {
		n := min(3, len(data))
		var group uint32
		for i, c := range data[:n] {
			group |= uint32(c) << (8 * i)
		}
		for range n + 1 {
			b.WriteByte(alphabet[group&63])
			group >>= 6
		}
		data = data[n:]
	}
	return b.String()
}
