package attest

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// Sign is a plain Ed25519 signature (RFC 8032) over data, 64 bytes: what
// `openssl pkeyutl -verify -rawin` and every Ed25519 library accept. key is PKCS #8 in
// PEM. The same key and data give the same signature.
func Sign(key, data []byte) ([]byte, error) {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errors.New("sign: the key is not in PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("sign: the key is not PKCS #8") // the cause could quote it
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("sign: the key is not of Ed25519")
	}
	return ed25519.Sign(private, data), nil
}

// ErrSignature means that a signature is not that of this key over this data.
var ErrSignature = errors.New("the signature is not that of this key over these bytes")

// Verify checks what [Sign] made. key is PKIX in PEM.
func Verify(key, data, signature []byte) error {
	block, _ := pem.Decode(key)
	if block == nil || block.Type != "PUBLIC KEY" {
		return errors.New("the key is not a public key in PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return err
	}
	public, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return errors.New("the key is not of Ed25519")
	}
	if !ed25519.Verify(public, data, signature) {
		return ErrSignature
	}
	return nil
}
