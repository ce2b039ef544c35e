package artifact

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ClaimPrefix opens a claim line: imgforge-claim-v1.<node>.<base64url of key and checksum>.
// It is one word of a kernel command line and one line of a console's paste field.
const ClaimPrefix = "imgforge-claim-v1."

const claimSum = 4 // bytes; with the key 36, which base64 encodes without padding

// EncodeClaim is the line that opens one node's sealed slot. It holds the key in
// the clear: it is a secret.
func EncodeClaim(node string, key [32]byte) (string, error) {
	if err := checkNodeName(node); err != nil {
		return "", fmt.Errorf("encode claim line: %w", err)
	}
	raw := append(key[:], claimChecksum(node, key)...)
	return ClaimPrefix + node + "." + base64.RawURLEncoding.EncodeToString(raw), nil
}

// ParseClaim reads a claim line, with white space around it. A checksum over
// node and key tells a bad paste from a key of another build. Errors never
// repeat the line.
func ParseClaim(line string) (node string, key [32]byte, err error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), ClaimPrefix)
	if !ok {
		return "", key, fmt.Errorf("claim line: it does not begin with %s: copy the whole line that `imgforge claims` prints", ClaimPrefix)
	}
	dot := strings.LastIndexByte(rest, '.')
	if dot < 0 {
		return "", key, errors.New("claim line: the part after the node name is missing: copy the whole line that `imgforge claims` prints")
	}
	node = rest[:dot]
	if err := checkNodeName(node); err != nil {
		return "", key, fmt.Errorf("claim line: %w", err)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(rest[dot+1:])
	if err != nil || len(raw) != len(key)+claimSum {
		return "", key, fmt.Errorf("claim line of %q: it is cut short or holds a foreign character: copy the whole line that `imgforge claims` prints", node)
	}
	copy(key[:], raw)
	if subtle.ConstantTimeCompare(raw[len(key):], claimChecksum(node, key)) != 1 {
		return "", [32]byte{}, fmt.Errorf("claim line of %q: its checksum is wrong, so a character changed on the way: copy the line that `imgforge claims` prints again", node)
	}
	return node, key, nil
}

func claimChecksum(node string, key [32]byte) []byte {
	h := sha256.New()
	h.Write([]byte(ClaimPrefix + node + "."))
	h.Write(key[:])
	return h.Sum(nil)[:claimSum]
}
