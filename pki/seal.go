package pki

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// maxSecret bounds what is read out of a sealed file, in bytes.
const maxSecret = 4 << 20

// label is the first line of everything sealed. age authenticates it together
// with the secret, so a sealed file that was put in the place of another, or
// kept from an older generation, is noticed when it is opened.
type label struct {
	Version    int    `json:"imgforge"`
	Cluster    string `json:"cluster"`
	Origin     string `json:"origin"`
	ID         string `json:"id"`
	Kind       string `json:"kind"`
	Generation int    `json:"generation"`
	Public     string `json:"public,omitempty"`
}

func (x *index) label(e entry) label {
	return label{formatVersion, x.Cluster, x.Origin, e.ID, e.Kind, e.Generation, e.Public}
}

// seal encrypts a secret under its label. `age -d` and `tail -n +2` get it back
// without imgforge.
func seal(to []age.Recipient, l label, secret []byte) ([]byte, error) {
	line, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", l.ID, err)
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to...)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", l.ID, err)
	}
	for _, part := range [][]byte{line, {'\n'}, secret} {
		if _, err := w.Write(part); err != nil {
			return nil, fmt.Errorf("seal %s: %w", l.ID, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal %s: %w", l.ID, err)
	}
	return b.Bytes(), nil
}

// errNotForUs means that no identity at hand opens a sealed file.
var errNotForUs = errors.New("it is sealed to other identities")

// unseal opens what seal wrote. Its errors hold nothing of the secret.
func unseal(data []byte, ids []age.Identity, want label) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(data), ids...)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return nil, errNotForUs
	}
	if err != nil {
		return nil, errors.New("it is damaged or cut short")
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxSecret))
	if err != nil {
		return nil, errors.New("it is damaged or cut short")
	}
	line, secret, ok := bytes.Cut(plain, []byte{'\n'})
	var have label
	if !ok || json.Unmarshal(line, &have) != nil {
		return nil, errors.New("it was not sealed by imgforge")
	}
	switch {
	case have == want:
		return secret, nil
	case have.Cluster != want.Cluster || have.Origin != want.Origin:
		return nil, fmt.Errorf("it comes from another store, of cluster %q", have.Cluster)
	case have.ID != want.ID:
		return nil, fmt.Errorf("it is the private part of %s", have.ID)
	}
	return nil, fmt.Errorf("it is of another generation (%d, not %d)", have.Generation, want.Generation)
}
