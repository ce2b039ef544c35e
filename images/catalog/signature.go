package catalog

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// keyFiles are the public keys of the projects, as they publish them: Flatcar's
// image signing key, Fedora's release keys, Debian's archive keys.
//
//go:embed keys/*.asc
var keyFiles embed.FS

// Keys are the public keys that sign something, in ASCII armour: flatcar, fedora,
// debian-12 or debian-13.
func Keys(name string) ([]byte, error) {
	data, err := keyFiles.ReadFile("keys/" + name + ".asc")
	if err != nil {
		return nil, fmt.Errorf("no keys are called %q", name)
	}
	return data, nil
}

// Ring is a set of public keys that are trusted for one purpose.
type Ring struct {
	keys openpgp.EntityList
	now  time.Time
}

// NewRing reads keys in ASCII armour, one or several blocks. Now decides which of
// them have ended.
func NewRing(armoured []byte, now time.Time) (*Ring, error) {
	r := &Ring{now: now}
	const end = "-----END PGP PUBLIC KEY BLOCK-----"
	for len(bytes.TrimSpace(armoured)) > 0 {
		i := bytes.Index(armoured, []byte(end))
		if i < 0 {
			break
		}
		keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(armoured[:i+len(end)]))
		if err != nil {
			return nil, fmt.Errorf("read public keys: %w", err)
		}
		r.keys = append(r.keys, keys...)
		armoured = armoured[i+len(end):]
	}
	if len(r.keys) == 0 {
		return nil, errors.New("read public keys: no block of public keys in ASCII armour is there")
	}
	return r, nil
}

func (r *Ring) config() *packet.Config {
	return &packet.Config{Time: func() time.Time { return r.now }}
}

// ClearSigned is the text of a clear-signed message, once one of the keys was
// found to sign it, and that key's fingerprint.
func (r *Ring) ClearSigned(message []byte) (text []byte, fingerprint string, err error) {
	block, _ := clearsign.Decode(message)
	if block == nil {
		return nil, "", errors.New("it is no clear-signed message")
	}
	signer, err := block.VerifySignature(r.keys, r.config())
	if err != nil {
		return nil, "", r.explain(err)
	}
	return block.Plaintext, print(signer), nil
}

// Detached checks a signature, armoured or not, over what signed gives, and
// returns the fingerprint of the key that made it.
func (r *Ring) Detached(signed io.Reader, signature []byte) (string, error) {
	check := openpgp.CheckDetachedSignature
	if bytes.HasPrefix(bytes.TrimSpace(signature), []byte("-----BEGIN")) {
		check = openpgp.CheckArmoredDetachedSignature
	}
	signer, err := check(r.keys, signed, bytes.NewReader(signature), r.config())
	if err != nil {
		return "", r.explain(err)
	}
	return print(signer), nil
}

func (r *Ring) explain(err error) error {
	return fmt.Errorf("its signature is not by a key that is trusted here: %w", err)
}

func print(e *openpgp.Entity) string { return fmt.Sprintf("%X", e.PrimaryKey.Fingerprint) }
