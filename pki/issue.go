package pki

import (
	"context"
	"fmt"
	"slices"

	"github.com/imgforge/imgforge/internal/plan"
)

// Change is something that the plan needs and the store does not have as needed.
type Change struct {
	ID string `json:"id"`
	// Why says what is missing or different.
	Why string `json:"why"`
	// Fix is the command that helps.
	Fix string `json:"fix"`
	// New tells that nothing of this ID was there before.
	New bool `json:"new,omitempty"`
}

func (c Change) String() string { return c.ID + ": " + c.Why }

// Issued is what a run changed. Empty lists mean that no byte changed.
type Issued struct {
	// Made lists new and replaced certificates and keys, with the reason.
	Made []Change `json:"made,omitempty"`
	// Unused lists what the plan no longer has: kept, but no longer counted.
	Unused []string `json:"unused,omitempty"`
}

// The commands that mend what a plan finds missing.
const (
	fixIssue  = "run `imgforge pki issue`"
	fixSecret = "run `imgforge secret set %s`"
)

// Missing lists what a build of the plan would not find: it needs no identity.
func (s *Store) Missing(p *plan.Plan) ([]Change, error) {
	if err := s.belongsTo(p.Cluster); err != nil {
		return nil, err
	}
	w, err := wanted(p)
	if err != nil {
		return nil, err
	}
	changes, err := s.changes(w)
	if err != nil {
		return nil, err
	}
	for _, k := range w.user {
		if s.index.entry(k.ID) == nil {
			changes = append(changes, Change{ID: k.ID, Why: "secret is not set", Fix: fmt.Sprintf(fixSecret, userName(k.ID)), New: true})
		}
	}
	return changes, nil
}

// Issue makes the certificates and keys that the plan needs and the store lacks,
// and certificates anew whose request changed. Keys are never replaced. It needs
// the authority identity only when there is a certificate to sign.
func (s *Store) Issue(ctx context.Context, p *plan.Plan) (Issued, error) {
	return s.write(ctx, p, func(b *batch) (Issued, error) { return b.issue(ctx, p, nil) })
}

// Renew makes leaves of the plan anew, with new keys, for which due holds.
func (s *Store) Renew(ctx context.Context, p *plan.Plan, due func(Entry) bool) (Issued, error) {
	return s.write(ctx, p, func(b *batch) (Issued, error) { return b.issue(ctx, p, due) })
}

// write runs one change of the store under its lock, and commits it unless it
// turns out that nothing changes.
func (s *Store) write(ctx context.Context, p *plan.Plan, change func(*batch) (Issued, error)) (Issued, error) {
	if err := s.belongsTo(p.Cluster); err != nil {
		return Issued{}, err
	}
	l, err := s.hold(ctx)
	if err != nil {
		return Issued{}, err
	}
	defer l.release()
	if err := s.belongsTo(p.Cluster); err != nil { // as it is now
		return Issued{}, err
	}
	b, err := newBatch(s, s.index.clone())
	if err != nil {
		return Issued{}, err
	}
	issued, err := change(b)
	if err != nil {
		return Issued{}, err
	}
	if !b.changed() {
		return issued, nil
	}
	return issued, s.commit(ctx, l, b.next, b.files)
}

// wants is a plan's requests by ID, checked.
type wants struct {
	certificates []plan.Certificate
	keys         []plan.Key // made here
	user         []plan.Key // set by people
	ids          map[string]bool
}

// wanted refuses requests that the store could not keep apart.
func wanted(p *plan.Plan) (wants, error) {
	w := wants{ids: map[string]bool{}}
	stems := map[string]bool{}
	claim := func(id, kind string) error {
		e := entry{ID: id, Kind: kind}
		if err := checkID(id, kind); err != nil {
			return err
		}
		if w.ids[id] || stems[e.stem()] {
			return fmt.Errorf("plan of cluster %s: %s is asked for twice, or a node has the name of something else in the store", p.Cluster, id)
		}
		w.ids[id], stems[e.stem()] = true, true
		return nil
	}
	for _, c := range p.Certificates {
		if err := claim(c.ID, kindCertificate); err != nil {
			return w, err
		}
		if _, err := authorityCN(c.Authority); err != nil {
			return w, fmt.Errorf("certificate %s: %w", c.ID, err)
		}
		w.certificates = append(w.certificates, c)
	}
	for _, k := range p.Keys {
		if k.Kind == kindUser && slices.Contains(w.user, k) {
			continue // one secret may serve several purposes
		}
		if err := claim(k.ID, k.Kind); err != nil {
			return w, err
		}
		if k.Kind == kindUser {
			w.user = append(w.user, k)
			continue
		}
		w.keys = append(w.keys, k)
	}
	return w, nil
}

// changes compares requests with the store. User secrets are not among them.
func (s *Store) changes(w wants) ([]Change, error) {
	var out []Change
	for _, c := range w.certificates {
		why, err := s.certificateChange(c)
		if err != nil {
			return nil, err
		}
		if why != "" {
			out = append(out, Change{ID: c.ID, Why: why, Fix: fixIssue, New: s.index.entry(c.ID) == nil})
		}
	}
	for _, k := range w.keys {
		e := s.index.entry(k.ID)
		switch {
		case e == nil:
			out = append(out, Change{ID: k.ID, Why: "is not made yet", Fix: fixIssue, New: true})
		case e.Kind != k.Kind:
			return nil, fmt.Errorf("store %s: %s is of kind %s and the cluster file now asks for %s: keys are never replaced, so set it back", s.dir, k.ID, e.Kind, k.Kind)
		}
	}
	return out, nil
}

func (s *Store) certificateChange(c plan.Certificate) (string, error) {
	e := s.index.entry(c.ID)
	if e == nil {
		return "is not issued yet", nil
	}
	if e.Kind != kindCertificate {
		return "", fmt.Errorf("store %s: %s is a key of kind %s, not a certificate: rename the node or secret", s.dir, c.ID, e.Kind)
	}
	cert, err := s.certificate(*e)
	if err != nil {
		return "", err
	}
	authority, err := s.certificate(*s.index.authority(c.Authority))
	if err != nil {
		return "", err
	}
	return changedSince(cert, authority, c), nil
}
