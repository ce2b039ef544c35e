package proof

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"
)

// authorityPEM is the certificate of somebody else's authority, made up on the spot.
func authorityPEM(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "somebody else's authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// longBase64 finds what may hide a PEM block, as the data fields of a kubeconfig do.
var longBase64 = regexp.MustCompile(`[A-Za-z0-9+/]{64,}={0,2}`)

// blocks are the PEM blocks of a text, those inside base64 included.
func blocks(text string) []*pem.Block {
	var out []*pem.Block
	if strings.Contains(text, "-----BEGIN ") {
		for rest := []byte(text); ; {
			var b *pem.Block
			if b, rest = pem.Decode(rest); b == nil {
				break
			}
			out = append(out, b)
		}
	}
	for _, run := range longBase64.FindAllString(text, -1) {
		if inner, err := base64.StdEncoding.DecodeString(run); err == nil && strings.Contains(string(inner), "-----BEGIN ") {
			out = append(out, blocks(string(inner))...)
		}
	}
	return out
}

// publicOf is the public half of a private key block, nil when it is none.
func publicOf(b *pem.Block) crypto.PublicKey {
	if key, err := x509.ParseECPrivateKey(b.Bytes); err == nil {
		return key.Public()
	}
	if key, err := x509.ParsePKCS1PrivateKey(b.Bytes); err == nil {
		return key.Public()
	}
	if key, err := x509.ParsePKCS8PrivateKey(b.Bytes); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return signer.Public()
		}
	}
	return nil
}

// parsePublic is a public key block, nil when it is none.
func parsePublic(b *pem.Block) crypto.PublicKey {
	if key, err := x509.ParsePKIXPublicKey(b.Bytes); err == nil {
		return key
	}
	if key, err := x509.ParsePKCS1PublicKey(b.Bytes); err == nil {
		return key
	}
	return nil
}

// fingerprint tells public keys apart.
func fingerprint(t testing.TB, public crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(der)
}

// certificatesIn and privateKeysIn list what a text holds.
func certificatesIn(text string) []*x509.Certificate {
	var out []*x509.Certificate
	for _, b := range blocks(text) {
		if cert, err := x509.ParseCertificate(b.Bytes); err == nil && b.Type == "CERTIFICATE" {
			out = append(out, cert)
		}
	}
	return out
}

func privateKeysIn(t testing.TB, text string) []crypto.PublicKey {
	t.Helper()
	var out []crypto.PublicKey
	for _, b := range blocks(text) {
		public := publicOf(b)
		if public != nil {
			out = append(out, public)
		} else if strings.Contains(b.Type, "PRIVATE") && b.Type != "ED25519 PRIVATE KEY" { // tinc's own form
			t.Errorf("a block of type %q cannot be read", b.Type)
		}
	}
	return out
}
