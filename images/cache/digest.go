package cache

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// Digest names contents by their hash, as sha256:HEX or sha512:HEX in lower case.
type Digest string

// SHA256 and SHA512 are the hashes that publishers give.
const (
	SHA256 = "sha256"
	SHA512 = "sha512"
)

// ParseDigest checks a digest.
func ParseDigest(s string) (Digest, error) {
	algorithm, sum, _ := strings.Cut(s, ":")
	size := map[string]int{SHA256: sha256.Size, SHA512: sha512.Size}[algorithm]
	raw, err := hex.DecodeString(sum)
	if size == 0 || err != nil || len(raw) != size || sum != strings.ToLower(sum) {
		return "", fmt.Errorf("%q is no digest: write sha256: or sha512: and the hash in lower case hexadecimal", s)
	}
	return Digest(s), nil
}

// Of is the sha256 digest of contents.
func Of(data []byte) Digest {
	sum := sha256.Sum256(data)
	return Digest(SHA256 + ":" + hex.EncodeToString(sum[:]))
}

// Algorithm is sha256 or sha512.
func (d Digest) Algorithm() string {
	algorithm, _, _ := strings.Cut(string(d), ":")
	return algorithm
}

// Hex is the hash alone.
func (d Digest) Hex() string {
	_, sum, _ := strings.Cut(string(d), ":")
	return sum
}

// newHash is the hash that the digest was made with.
func (d Digest) newHash() hash.Hash {
	if d.Algorithm() == SHA512 {
		return sha512.New()
	}
	return sha256.New()
}

// of is the digest that a hash of the same kind came to.
func (d Digest) of(h hash.Hash) Digest {
	return Digest(d.Algorithm() + ":" + hex.EncodeToString(h.Sum(nil)))
}
