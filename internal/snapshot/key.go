package snapshot

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
)

// Key is the masters' own key to their snapshots. It follows from the key that the
// API server encrypts Secrets with: every master has that one, the store can make it
// again, and a snapshot without it is of no use to an API server anyhow. It is
// symmetric, so that who only knows the recipients, or can write to the bucket, can
// make no snapshot that masters would restore.
type Key [32]byte

const (
	stanza   = "imgforge-snapshot-v1"
	saltSize = 16
)

// NewKey derives the key from the text of the encryption key: base64 of 32 bytes.
func NewKey(encryption string) (k Key, err error) {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encryption))
	if err != nil || len(secret) != 32 {
		return k, errors.New("the encryption key is not base64 of 32 bytes")
	}
	out, err := hkdf.Key(sha256.New, secret, nil, "imgforge snapshot v1", len(k))
	if err != nil {
		return k, err
	}
	copy(k[:], out)
	return k, nil
}

// wrapper is the cipher of one file, whose salt is random.
func (k Key) wrapper(salt []byte) (cipher.AEAD, error) {
	secret, err := hkdf.Key(sha256.New, k[:], salt, stanza, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// recipient is the key as age writes for it. Labels are those of the other
// recipients: age mixes none of different strength, and this one is as strong as any.
type recipient struct {
	Key
	labels []string
}

// Wrap is that of [age.Recipient].
func (r recipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	salt := make([]byte, saltSize)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	gcm, err := r.wrapper(salt)
	if err != nil {
		return nil, err
	}
	// The key is the salt's alone, so that one nonce is enough.
	body := gcm.Seal(nil, make([]byte, gcm.NonceSize()), fileKey, nil)
	return []*age.Stanza{{Type: stanza, Args: []string{base64.RawStdEncoding.EncodeToString(salt)}, Body: body}}, nil
}

// WrapWithLabels is that of [age.RecipientWithLabels].
func (r recipient) WrapWithLabels(fileKey []byte) ([]*age.Stanza, []string, error) {
	s, err := r.Wrap(fileKey)
	return s, r.labels, err
}

// Unwrap is that of [age.Identity].
func (k Key) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for _, s := range stanzas {
		if s.Type != stanza || len(s.Args) != 1 {
			continue
		}
		salt, err := base64.RawStdEncoding.DecodeString(s.Args[0])
		if err != nil || len(salt) != saltSize {
			continue
		}
		gcm, err := k.wrapper(salt)
		if err != nil {
			return nil, err
		}
		if fileKey, err := gcm.Open(nil, make([]byte, gcm.NonceSize()), s.Body, nil); err == nil && len(fileKey) == 16 {
			return fileKey, nil
		}
	}
	return nil, age.ErrIncorrectIdentity
}

// recipients are the masters' key and whoever else can open a snapshot.
func (k Key) recipients(texts []string) ([]age.Recipient, error) {
	own := recipient{Key: k}
	out := []age.Recipient{}
	if len(texts) > 0 {
		others, err := age.ParseRecipients(strings.NewReader(strings.Join(texts, "\n")))
		if err != nil {
			return nil, fmt.Errorf("read the recipients of snapshots: %w", err)
		}
		out = others
		if strings.HasPrefix(texts[0], "age1pq1") {
			own.labels = []string{"postquantum"}
		}
	}
	return append(out, own), nil
}
