package artifact

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A sealed slot is one line of magic, one line of JSON with what is needed to
// find it (node and matches, in the clear), then a 32-byte tag, then AES-256-GCM.
//
// The same slot and key must give the same bytes, or every build would change
// every payload, so no random nonce can be used. Instead the seal is synthetic,
// as in SIV (RFC 5297): the tag is an HMAC of header and plaintext under a key of
// its own, and key and nonce of the cipher are derived from the tag. Another
// plaintext gets another key, so a nonce never repeats under one key; all that
// equal bytes tell is that nothing changed. Node and matches are authenticated,
// so a seal cannot be passed off as another node's.
const sealedMagic = "imgforge-sealed-slot-v1\n"

// Labels keep the derived keys apart from each other and from later versions.
const (
	tagLabel    = "imgforge sealed slot v1: tag"
	cipherLabel = "imgforge sealed slot v1: cipher"
	tagSize     = sha256.Size
)

// ErrWrongKey means that a sealed slot was made for another key, or that its
// bytes were changed: the two cannot be told apart. A claim line that was pasted
// badly is found earlier, by [ParseClaim].
var ErrWrongKey = errors.New("the key does not open this slot")

type sealedHead struct {
	Node  string   `json:"node"`
	Match []string `json:"match,omitempty"`
}

// SealSlot encrypts a slot to key. It is deterministic.
func SealSlot(s Slot, key [32]byte) ([]byte, error) {
	plain, err := EncodeSlot(s)
	if err != nil {
		return nil, err
	}
	// Sealed bytes cannot be compressed later, so they are compressed before.
	plain, err = deflate(plain)
	if err != nil {
		return nil, fmt.Errorf("seal slot %q: %w", s.Node, err)
	}
	line, err := json.Marshal(sealedHead{s.Node, s.Match})
	if err != nil {
		return nil, fmt.Errorf("seal slot %q: %w", s.Node, err)
	}
	head := append([]byte(sealedMagic+string(line)), '\n')
	tag, err := sealTag(key, head, plain)
	if err != nil {
		return nil, fmt.Errorf("seal slot %q: %w", s.Node, err)
	}
	aead, nonce, err := sealCipher(key, tag)
	if err != nil {
		return nil, fmt.Errorf("seal slot %q: %w", s.Node, err)
	}
	return aead.Seal(append(bytes.Clone(head), tag...), nonce, plain, head), nil
}

// OpenSlot decrypts what [SealSlot] wrote. The error is [ErrWrongKey] when the
// key does not fit.
func OpenSlot(data []byte, key [32]byte) (Slot, error) {
	head, rest, err := sealedHeader(data)
	if err != nil {
		return Slot{}, fmt.Errorf("open slot: %w", err)
	}
	raw := data[:len(data)-len(rest)]
	if len(rest) < tagSize {
		return Slot{}, fmt.Errorf("open slot %q: it is cut short", head.Node)
	}
	tag, sealed := rest[:tagSize], rest[tagSize:]
	aead, nonce, err := sealCipher(key, tag)
	if err != nil {
		return Slot{}, fmt.Errorf("open slot %q: %w", head.Node, err)
	}
	plain, err := aead.Open(nil, nonce, sealed, raw)
	if err != nil {
		return Slot{}, fmt.Errorf("open slot %q: %w", head.Node, ErrWrongKey)
	}
	if want, err := sealTag(key, raw, plain); err != nil || !hmac.Equal(want, tag) {
		return Slot{}, fmt.Errorf("open slot %q: %w", head.Node, ErrWrongKey)
	}
	plain, err = inflate(plain)
	if err != nil {
		return Slot{}, fmt.Errorf("open slot %q: %w", head.Node, err)
	}
	s, err := DecodeSlot(plain)
	if err != nil {
		return Slot{}, fmt.Errorf("open slot %q: %w", head.Node, err)
	}
	if s.Node != head.Node {
		return Slot{}, fmt.Errorf("open slot %q: it holds the files of %q", head.Node, s.Node)
	}
	return s, nil
}

// SlotHeader tells whose slot data is, without opening it.
func SlotHeader(data []byte) (node string, match []string, sealed bool, err error) {
	if bytes.HasPrefix(data, []byte(sealedMagic)) {
		h, _, err := sealedHeader(data)
		return h.Node, h.Match, true, err
	}
	s, err := DecodeSlot(data)
	return s.Node, s.Match, false, err
}

func sealedHeader(data []byte) (h sealedHead, rest []byte, err error) {
	rest, ok := bytes.CutPrefix(data, []byte(sealedMagic))
	if !ok {
		return h, nil, fmt.Errorf("it does not begin with %q: made by another version, or not sealed", strings.TrimSpace(sealedMagic))
	}
	line, rest, ok := bytes.Cut(rest, []byte("\n"))
	if !ok || len(line) > maxSlotHead {
		return h, nil, errors.New("the header line is cut short")
	}
	if err := strictJSON(line, &h); err != nil {
		return h, nil, fmt.Errorf("header: %w", err)
	}
	return h, rest, checkSlot(Slot{Node: h.Node, Match: h.Match})
}

func sealTag(key [32]byte, head, plain []byte) ([]byte, error) {
	macKey, err := hkdf.Key(sha256.New, key[:], nil, tagLabel, sha256.Size)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, macKey)
	// The header ends with its only second line feed, so the two cannot be shifted against each other.
	mac.Write(head)
	mac.Write(plain)
	return mac.Sum(nil), nil
}

func sealCipher(key [32]byte, tag []byte) (cipher.AEAD, []byte, error) {
	const keySize, nonceSize = 32, 12
	okm, err := hkdf.Key(sha256.New, key[:], tag, cipherLabel, keySize+nonceSize)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(okm[:keySize])
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	return aead, okm[keySize:], err
}

func deflate(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// inflate refuses to grow past what a slot may hold.
func inflate(data []byte) ([]byte, error) {
	const limit = len(slotMagic) + maxSlotHead + 1 + MaxSlotBytes
	out, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data)), int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(out) > limit {
		return nil, errors.New("it is larger than a slot may be")
	}
	return out, nil
}
