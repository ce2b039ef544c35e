package payload

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_5/types"
	"github.com/vincent-petithory/dataurl"
)

// maxContents bounds what one resource may decompress to, in bytes.
const maxContents = 64 << 20

// errRemote marks contents that are not in the payload itself.
var errRemote = errors.New("the contents are not in the payload itself")

// decodeResource is what a data URL holds, decompressed and verified as
// Ignition would do it.
func decodeResource(r types.Resource) ([]byte, error) {
	if r.Source == nil || *r.Source == "" {
		return nil, nil
	}
	if !strings.HasPrefix(*r.Source, "data:") {
		return nil, errRemote
	}
	u, err := dataurl.DecodeString(*r.Source)
	if err != nil {
		return nil, fmt.Errorf("decode data URL: %w", err)
	}
	data := u.Data
	if value(r.Compression) == "gzip" {
		if data, err = gunzip(data); err != nil {
			return nil, fmt.Errorf("decompress data URL: %w", err)
		}
	}
	return data, verify(data, value(r.Verification.Hash))
}

func gunzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(z, maxContents+1))
	if err != nil {
		return nil, err
	}
	if len(out) > maxContents {
		return nil, fmt.Errorf("more than %d bytes", maxContents)
	}
	return out, nil
}

// gzipped is data at the best level, without name or time, so that the same
// data always gives the same bytes.
func gzipped(data []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}

// dataPlain are the characters that stand for themselves in a data URL: those
// of RFC 2396 but ? and #, which would end it, and &, which JSON would escape.
const dataPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'();/:@=+$,"

// dataURL spells contents as text. The usual escaping would also take / and +
// and =, of which keys and certificates are full.
func dataURL(contents []byte) string {
	var b strings.Builder
	b.WriteString("data:,")
	for _, c := range contents {
		if strings.IndexByte(dataPlain, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func verify(data []byte, hash string) error {
	kind, want, _ := strings.Cut(hash, "-")
	var got string
	switch kind {
	case "":
		return nil
	case "sha256":
		sum := sha256.Sum256(data)
		got = hex.EncodeToString(sum[:])
	case "sha512":
		sum := sha512.Sum512(data)
		got = hex.EncodeToString(sum[:])
	default:
		return fmt.Errorf("verification hash %q is neither sha256 nor sha512", kind)
	}
	if got != want {
		return fmt.Errorf("contents have hash %s-%s, not %s", kind, got, hash)
	}
	return nil
}

// value is what p points at, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
