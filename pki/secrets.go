package pki

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// Authority is the PEM certificate of an authority.
func (s *Store) Authority(name string) ([]byte, error) {
	e := s.index.authority(name)
	if e == nil {
		_, err := authorityCN(name)
		return nil, err
	}
	return bytes.Clone(s.files[e.publicPath()]), nil
}

// AuthorityKey is the PEM private key of the kubelet-signer, the one authority
// whose key masters carry. Every other key stays in the store.
func (s *Store) AuthorityKey(name string) ([]byte, error) {
	if _, err := authorityCN(name); err != nil {
		return nil, err
	}
	if name != KubeletSigner {
		return nil, fmt.Errorf("the key of authority %s never leaves the store: nodes carry that of %s alone", name, KubeletSigner)
	}
	return s.open(*s.index.authority(name))
}

// Certificate is a leaf's PEM certificate.
func (s *Store) Certificate(id string) ([]byte, error) {
	e, err := s.leaf(id)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(s.files[e.publicPath()]), nil
}

// PrivateKey is a leaf's PEM private key.
func (s *Store) PrivateKey(id string) ([]byte, error) {
	e, err := s.leaf(id)
	if err != nil {
		return nil, err
	}
	return s.open(*e)
}

func (s *Store) leaf(id string) (*entry, error) {
	e := s.index.entry(id)
	if e == nil || e.Kind != kindCertificate {
		return nil, fmt.Errorf("store %s has no certificate %s: %s", s.dir, id, fixIssue)
	}
	return e, nil
}

// Recipients are the age public keys that authorities are sealed to. Snapshots of
// etcd are sealed to them too: whoever opens those could be anybody anyhow.
func (s *Store) Recipients() []string { return slices.Clone(s.index.Recipients.Authorities) }

// Public is the public half of a key in its consumer's encoding: PEM for tinc
// RSA and service-account keys, one line without a break for tinc Ed25519 and
// WireGuard.
func (s *Store) Public(id string) ([]byte, error) {
	e, err := s.key(id)
	if err != nil {
		return nil, err
	}
	if e.Public == "" {
		return nil, fmt.Errorf("key %s of kind %s has no public half", id, e.Kind)
	}
	data := bytes.Clone(s.files[e.publicPath()])
	if bytes.HasPrefix(data, []byte("-----BEGIN ")) {
		return data, nil
	}
	return bytes.TrimSuffix(data, []byte("\n")), nil
}

// Secret is a key in its consumer's encoding: PEM, tinc's own armor, base64 of
// 32 bytes without a line break, or the bytes that a person set.
func (s *Store) Secret(id string) ([]byte, error) {
	e, err := s.key(id)
	if err != nil {
		return nil, err
	}
	return s.open(*e)
}

func (s *Store) key(id string) (*entry, error) {
	e := s.index.entry(id)
	if e != nil && e.Kind != kindCertificate {
		return e, nil
	}
	fix := fixIssue
	if name := userName(id); name != "" {
		fix = fmt.Sprintf(fixSecret, name)
	}
	return nil, fmt.Errorf("store %s has no key %s: %s", s.dir, id, fix)
}

// userName is the name of a secret that people set; "" for other IDs.
func userName(id string) string {
	name, ok := strings.CutPrefix(id, "user/")
	if !ok {
		return ""
	}
	return name
}

// open opens an entry's private part, once.
func (s *Store) open(e entry) ([]byte, error) {
	s.mu.Lock()
	secret, ok := s.opened[e.Kind+"/"+e.ID]
	s.mu.Unlock()
	if ok {
		return bytes.Clone(secret), nil
	}
	secret, err := s.unsealEntry(e)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.opened[e.Kind+"/"+e.ID] = secret
	s.mu.Unlock()
	return bytes.Clone(secret), nil
}

func (s *Store) unsealEntry(e entry) ([]byte, error) {
	role, id, to := roleLeaf, s.ids.Leaf, s.index.Recipients.Leaves
	if e.guarded() {
		role, id, to = roleAuthority, s.ids.Authority, s.index.Recipients.Authorities
	}
	if !id.Present() {
		return nil, fmt.Errorf("store %s: open %s: %w", s.dir, e.sealedPath(), id.absent(role))
	}
	secret, err := unseal(s.files[e.sealedPath()], id.keys, s.index.label(e))
	if errors.Is(err, errNotForUs) {
		return nil, fmt.Errorf("store %s: open %s: the %s identity of %s is not one of this store: use the one for %s",
			s.dir, e.sealedPath(), role, id.from, strings.Join(to, " or "))
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: open %s: %w: %s", s.dir, e.sealedPath(), err, restore)
	}
	if e.hasCertificate() {
		if err := s.checkPair(e, secret); err != nil {
			return nil, err
		}
	}
	return secret, nil
}

// checkPair makes sure that a key belongs to the certificate beside it.
func (s *Store) checkPair(e entry, secret []byte) error {
	cert, err := s.certificate(e)
	if err != nil {
		return err
	}
	key, err := decodeKey(secret)
	if err != nil {
		return fmt.Errorf("store %s: %s: %w: %s", s.dir, e.sealedPath(), err, restore)
	}
	if !belongs(key, cert) {
		return fmt.Errorf("store %s: %s is not the key of %s: %s", s.dir, e.sealedPath(), e.publicPath(), restore)
	}
	return nil
}

// Secrets lists the names of the secrets that people set; never nil, which would
// tell a plan that nobody knows.
func (s *Store) Secrets() []string {
	out := []string{}
	for _, e := range s.index.Entries {
		if e.Kind == kindUser {
			out = append(out, userName(e.ID))
		}
	}
	return out
}

// maxUserSecret is what still fits a payload beside everything else, in bytes.
const maxUserSecret = 64 << 10

// SetSecret seals a secret under a name, and tells whether anything changed.
// Sealing needs no identity; with the leaf identity at hand, a value that is
// there already is not sealed again.
func (s *Store) SetSecret(ctx context.Context, name string, value []byte) (changed bool, err error) {
	e := entry{ID: "user/" + name, Kind: kindUser}
	if err := checkID(e.ID, e.Kind); err != nil {
		return false, fmt.Errorf("secret name %q: use at most 63 of a-z, 0-9 and -", name)
	}
	switch {
	case len(value) == 0:
		return false, fmt.Errorf("secret %s is empty: give its value on standard input", name)
	case len(value) > maxUserSecret:
		return false, fmt.Errorf("secret %s has %d bytes: at most %d fit", name, len(value), maxUserSecret)
	}
	_, err = s.write(ctx, &plan.Plan{Cluster: s.index.Cluster}, func(b *batch) (Issued, error) {
		if old := b.next.entry(e.ID); old != nil && s.ids.Leaf.Present() {
			current, err := s.open(*old)
			if err != nil {
				return Issued{}, err
			}
			if bytes.Equal(current, value) {
				return Issued{}, nil
			}
		}
		changed = true
		e.Generation = b.next.generationOf(e.ID) + 1
		if err := b.add(&e, pair{secret: slices.Clone(value)}); err != nil {
			return Issued{}, err
		}
		b.next.put(e)
		return Issued{}, nil
	})
	return changed && err == nil, err
}

// KubeconfigLeaf issues a client certificate for a person, which is stored
// nowhere. It needs the authority identity.
func (s *Store) KubeconfigLeaf(cn, group string, lifetime time.Duration) (cert, key []byte, err error) {
	signer, err := s.signerOf(Kubernetes)
	if err != nil {
		return nil, nil, err
	}
	now := s.Now().UTC().Truncate(time.Second)
	want := plan.Certificate{ID: "kubeconfig", Authority: Kubernetes, Profile: "client", CN: cn, O: []string{group}}
	return signer.signUntil(want, now, now.Add(-backdate), now.Add(lifetime))
}
