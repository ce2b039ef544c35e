package pki

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"filippo.io/age"

	"github.com/imgforge/imgforge/internal/plan"
)

// batch is a change of the store in the making.
type batch struct {
	store       *Store
	next        *index
	alg         algorithm
	toAuthority []age.Recipient
	toLeaf      []age.Recipient
	files       []output
	authorities map[string]*leafSigner // opened so far
	relabelled  bool                   // the index changed beyond its new entries
}

func newBatch(s *Store, next *index) (*batch, error) {
	b := &batch{store: s, next: next, authorities: map[string]*leafSigner{}}
	var err error
	if b.alg, err = parseAlgorithm(next.Algorithm); err != nil {
		return nil, err
	}
	if b.toAuthority, err = parseRecipients(next.Recipients.Authorities); err != nil {
		return nil, err
	}
	b.toLeaf, err = parseRecipients(next.Recipients.Leaves)
	return b, err
}

func (b *batch) changed() bool { return len(b.files) > 0 || b.relabelled }

// issue adds to a batch what the plan lacks, or, with due, leaves to renew.
func (b *batch) issue(ctx context.Context, p *plan.Plan, due func(Entry) bool) (Issued, error) {
	w, err := wanted(p)
	if err != nil {
		return Issued{}, err
	}
	var made []Change
	switch {
	case due != nil:
		made, err = b.store.dueLeaves(w, due)
	case b.store.index == nil: // a new store: everything
		made = everything(w)
	default:
		made, err = b.store.changes(w)
	}
	if err != nil {
		return Issued{}, err
	}
	if err := b.makeAll(ctx, w, made); err != nil {
		return Issued{}, err
	}
	issued := Issued{Made: made}
	if due == nil {
		issued.Unused = b.markUnused(w)
		b.anchor(p)
	}
	return issued, nil
}

func everything(w wants) []Change {
	var out []Change
	for _, c := range w.certificates {
		out = append(out, Change{ID: c.ID, Why: "is not issued yet", Fix: fixIssue, New: true})
	}
	for _, k := range w.keys {
		out = append(out, Change{ID: k.ID, Why: "is not made yet", Fix: fixIssue, New: true})
	}
	return out
}

// job is one certificate or key to make.
type job struct {
	certificate *plan.Certificate
	key         *plan.Key
	seed        []byte // of keys that are drawn from 32 random bytes
}

// seedSize is what WireGuard, Ed25519 and random keys are made from, in bytes.
const seedSize = 32

// jobs are drawn in order, so that the same entropy gives the same keys however
// many processors there are, and authorities are opened before anything is made.
func (b *batch) jobs(w wants, made []Change) ([]job, error) {
	all := map[string]job{}
	for _, c := range w.certificates {
		all[c.ID] = job{certificate: &c}
	}
	for _, k := range w.keys {
		all[k.ID] = job{key: &k}
	}
	out := make([]job, len(made))
	for i, m := range made {
		j := all[m.ID]
		if c := j.certificate; c != nil {
			if err := b.openAuthority(c.Authority); err != nil {
				return nil, fmt.Errorf("certificate %s: %w", c.ID, err)
			}
		} else {
			j.seed = make([]byte, seedSize)
			if _, err := io.ReadFull(b.store.Rand, j.seed); err != nil {
				return nil, fmt.Errorf("make key %s: read random: %w", m.ID, err)
			}
		}
		out[i] = j
	}
	return out, nil
}

// makeAll makes keys and certificates on every processor: an RSA key of tinc
// alone takes a tenth of a second.
func (b *batch) makeAll(ctx context.Context, w wants, made []Change) error {
	jobs, err := b.jobs(w, made)
	if err != nil {
		return err
	}
	now := b.store.Now()
	entries, files := make([]entry, len(jobs)), make([][]output, len(jobs))
	err = parallel(ctx, len(jobs), 0, func(i int) error {
		e, p, err := b.make(jobs[i], now)
		if err != nil {
			return err
		}
		files[i], err = b.sealed(&e, p)
		entries[i] = e
		return err
	})
	if err != nil {
		return err
	}
	b.files = append(b.files, slices.Concat(files...)...)
	b.next.put(entries...)
	return nil
}

func (b *batch) make(j job, now time.Time) (e entry, p pair, err error) {
	if c := j.certificate; c != nil {
		e = entry{ID: c.ID, Kind: kindCertificate, Role: c.Role, Node: c.Node}
		p.public, p.secret, err = b.authorities[c.Authority].sign(*c, now)
	} else {
		k := j.key
		e = entry{ID: k.ID, Kind: k.Kind, Role: k.Role, Node: k.Node}
		p, err = newKey(*k, b.alg, bytes.NewReader(j.seed))
	}
	e.Generation = b.next.generationOf(e.ID) + 1
	return e, p, err
}

// generationOf is 0 for what the index does not have.
func (x *index) generationOf(id string) int {
	if e := x.entry(id); e != nil {
		return e.Generation
	}
	return 0
}

// openAuthority makes an authority ready to sign.
func (b *batch) openAuthority(name string) error {
	if b.authorities[name] != nil {
		return nil
	}
	s, err := b.store.signerOf(name)
	if err != nil {
		return err
	}
	b.authorities[name] = s
	return nil
}

// signerOf opens an authority's key.
func (s *Store) signerOf(name string) (*leafSigner, error) {
	e := s.index.authority(name)
	if e == nil {
		_, err := authorityCN(name)
		return nil, err
	}
	alg, err := parseAlgorithm(s.index.Algorithm)
	if err != nil {
		return nil, err
	}
	cert, err := s.certificate(*e)
	if err != nil {
		return nil, err
	}
	data, err := s.open(*e)
	if err != nil {
		return nil, err
	}
	key, err := decodeKey(data)
	if err != nil {
		return nil, fmt.Errorf("store %s: %s: %w", s.dir, e.sealedPath(), err)
	}
	return newLeafSigner(name, cert, key, alg)
}

// add seals a pair into the batch and completes its entry.
func (b *batch) add(e *entry, p pair) error {
	files, err := b.sealed(e, p)
	if err != nil {
		return err
	}
	b.files = append(b.files, files...)
	return nil
}

// sealed turns a pair into files, and completes its entry.
func (b *batch) sealed(e *entry, p pair) ([]output, error) {
	var out []output
	if p.public != nil {
		public := p.public
		if public[len(public)-1] != '\n' {
			public = append(slices.Clone(public), '\n')
		}
		e.Public = fingerprint(public)
		out = append(out, output{e.publicPath(), publicMode, public})
	}
	data, err := seal(b.recipients(*e), b.next.label(*e), p.secret)
	if err != nil {
		return nil, err
	}
	e.Sealed = int64(len(data))
	return append(out, output{e.sealedPath(), sealedMode, data}), nil
}

// recipients of an entry: nodes carry the key of the kubelet-signer, so whoever
// builds must be able to open it; the other authorities are for those who issue.
func (b *batch) recipients(e entry) []age.Recipient {
	if e.guarded() {
		return b.toAuthority
	}
	return b.toLeaf
}

// markUnused notes which entries the plan has and which it has no longer.
func (b *batch) markUnused(w wants) []string {
	var out []string
	for i := range b.next.Entries {
		e := &b.next.Entries[i]
		unused := !w.ids[e.ID] && e.Kind != kindUser
		if unused == e.Unused {
			continue
		}
		e.Unused, b.relabelled = unused, true
		if unused {
			out = append(out, e.ID)
		}
	}
	return out
}

// anchor freezes each role's slots when they are first issued. While a plan has
// exactly the anchored slots, the anchor stays, so founders stay founders.
func (b *batch) anchor(p *plan.Plan) {
	for _, r := range p.Roles {
		if r.Slots == 0 {
			continue
		}
		old, ok := b.next.Anchors[r.Name]
		if ok && old.Slots() == r.Slots {
			continue
		}
		founding := r.Count
		if ok {
			founding = old.Founding
		}
		b.next.Anchors[r.Name] = plan.Anchor{Count: r.Count, Reserve: r.Slots - r.Count, Founding: founding}
		b.relabelled = true
	}
}
