package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// verifier notes the digest of what passes through.
type verifier struct {
	r io.Reader
	h hash.Hash
}

func newVerifier(r io.Reader) *verifier { return &verifier{r, sha256.New()} }

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.h.Write(p[:n])
	return n, err
}

// check compares what was read, and finds what was not.
func (v *verifier) check(d v1.Descriptor) error {
	if n, err := io.Copy(io.Discard, io.LimitReader(v, 1)); err != nil || n > 0 {
		if err != nil {
			return err
		}
		return fmt.Errorf("it has more than the %d bytes announced", d.Size)
	}
	if got := hex.EncodeToString(v.h.Sum(nil)); got != d.Digest.Hex {
		return fmt.Errorf("its digest is sha256:%s, not %s", got, d.Digest)
	}
	return nil
}
