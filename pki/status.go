package pki

import (
	"math"
	"time"
)

// Entry is one certificate as `pki status` shows it.
type Entry struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"` // authority | leaf
	Subject string `json:"subject"`
	Role    string `json:"role,omitempty"`
	Node    string `json:"node,omitempty"`
	// NotAfter is when it ends; DaysLeft are whole days until then, negative
	// from the first day after.
	NotAfter time.Time `json:"notAfter"`
	DaysLeft int       `json:"daysLeft"`
	// Unused tells that the plan last issued for no longer has it.
	Unused bool `json:"unused,omitempty"`
}

// Status lists every certificate, authorities first, each by ID.
func (s *Store) Status(now time.Time) ([]Entry, error) {
	var out []Entry
	for _, e := range s.index.all() {
		if !e.hasCertificate() {
			continue
		}
		shown, err := s.show(e, now)
		if err != nil {
			return nil, err
		}
		out = append(out, shown)
	}
	return out, nil
}

func (s *Store) show(e entry, now time.Time) (Entry, error) {
	cert, err := s.certificate(e)
	if err != nil {
		return Entry{}, err
	}
	kind := "leaf"
	if e.Kind == kindAuthority {
		kind = "authority"
	}
	return Entry{
		ID: e.ID, Kind: kind, Subject: cert.Subject.String(), Role: e.Role, Node: e.Node, Unused: e.Unused,
		NotAfter: cert.NotAfter.UTC(),
		DaysLeft: int(math.Floor(cert.NotAfter.Sub(now).Hours() / 24)),
	}, nil
}

// dueLeaves lists the plan's leaves that are to be renewed.
func (s *Store) dueLeaves(w wants, due func(Entry) bool) ([]Change, error) {
	var out []Change
	for _, c := range w.certificates {
		e := s.index.entry(c.ID)
		if e == nil || e.Kind != kindCertificate {
			continue
		}
		shown, err := s.show(*e, s.Now())
		if err != nil {
			return nil, err
		}
		if due(shown) {
			out = append(out, Change{ID: c.ID, Why: "renewed, it would have ended on " + day(shown.NotAfter)})
		}
	}
	return out, nil
}
