package gpt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// GUID is as it lies on the disk: the first three groups are little-endian.
type GUID [16]byte

// order is where each byte of the written form lies on the disk.
func order() [16]int { return [16]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15} }

// String is the usual form, in upper case.
func (g GUID) String() string {
	var b [16]byte
	for i, at := range order() {
		b[i] = g[at]
	}
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

// ParseGUID reads the usual form, in either case.
func ParseGUID(text string) (GUID, error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(raw) != 16 || len(text) != 36 {
		return GUID{}, fmt.Errorf("%q is not a GUID such as 0FC63DAF-8483-4772-8E79-3D69D8477DE4", text)
	}
	var g GUID
	for i, at := range order() {
		g[at] = raw[i]
	}
	return g, nil
}

// DerivedGUID is the same for the same parts (version 8 of RFC 9562).
func DerivedGUID(parts ...string) GUID {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s,", len(p), p)
	}
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	var g GUID
	for i, at := range order() {
		g[at] = b[i]
	}
	return g
}
