package pki

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cloudflare/cfssl/config"
	"github.com/cloudflare/cfssl/csr"
	"github.com/cloudflare/cfssl/signer"
	"github.com/cloudflare/cfssl/signer/local"

	"github.com/imgforge/imgforge/internal/plan"
)

// leafSigner signs leaves in the name of one authority. It may be used by
// several goroutines at once.
type leafSigner struct {
	name   string
	cert   *x509.Certificate
	alg    algorithm
	policy *config.Signing
	signer *local.Signer
}

func newLeafSigner(name string, cert *x509.Certificate, key crypto.Signer, alg algorithm) (*leafSigner, error) {
	quiet()
	policy, err := signing(alg)
	if err != nil {
		return nil, err
	}
	s, err := local.NewSigner(key, cert, signer.DefaultSigAlgo(key), policy)
	if err != nil {
		return nil, fmt.Errorf("authority %s: %w", name, err)
	}
	return &leafSigner{name: name, cert: cert, alg: alg, policy: policy, signer: s}, nil
}

// sign makes a key and a certificate for a request of the plan. What CFSSL
// would let pass is refused here: a profile it does not know (it would sign with
// its default), a leaf that outlives its authority, and a certificate that does
// not say exactly what was asked.
func (s *leafSigner) sign(want plan.Certificate, now time.Time) (cert, key []byte, err error) {
	notBefore, notAfter := validity(now, want.Days)
	return s.signUntil(want, now, notBefore, notAfter)
}

func (s *leafSigner) signUntil(want plan.Certificate, now, notBefore, notAfter time.Time) (cert, key []byte, err error) {
	if err := s.accept(want, now, notAfter); err != nil {
		return nil, nil, fmt.Errorf("certificate %s: %w", want.ID, err)
	}
	private, err := s.alg.generate()
	if err != nil {
		return nil, nil, fmt.Errorf("make key of certificate %s: %w", want.ID, err)
	}
	request := &csr.CertificateRequest{CN: want.CN, Hosts: slices.Concat(want.DNS, want.IPs)}
	for _, o := range want.O {
		request.Names = append(request.Names, csr.Name{O: o})
	}
	der, err := csr.Generate(private, request)
	if err != nil {
		return nil, nil, fmt.Errorf("request certificate %s: %w", want.ID, err)
	}
	cert, err = s.signer.Sign(signer.SignRequest{Request: string(der), Profile: want.Profile, NotBefore: notBefore, NotAfter: notAfter})
	if err != nil {
		return nil, nil, fmt.Errorf("sign certificate %s: %w", want.ID, err)
	}
	if err := s.verify(cert, private, want, now); err != nil {
		return nil, nil, fmt.Errorf("certificate %s is not what was asked for: %w", want.ID, err)
	}
	key, err = encodeKey(private)
	return cert, key, err
}

// accept refuses requests before any key is made.
func (s *leafSigner) accept(want plan.Certificate, now, notAfter time.Time) error {
	if _, known := s.policy.Profiles[want.Profile]; !known {
		return fmt.Errorf("profile %q is not known: it must be server, client or peer", want.Profile)
	}
	switch {
	case want.CN == "":
		return fmt.Errorf("it has no common name")
	case !notAfter.After(now):
		return fmt.Errorf("it would end before it begins: its lifetime must be at least a day")
	case want.Profile != plan.ProfileClient && len(want.DNS)+len(want.IPs) == 0:
		return fmt.Errorf("a %s certificate needs at least one name or address", want.Profile)
	case notAfter.After(s.cert.NotAfter):
		return fmt.Errorf("it would end on %s, after its authority %s, which ends on %s: set pki.leafDays to at most %d",
			day(notAfter), s.name, day(s.cert.NotAfter), int(s.cert.NotAfter.Sub(now)/(24*time.Hour)))
	}
	return nil
}

// verify reads the certificate back as its consumers will.
func (s *leafSigner) verify(certPEM []byte, key crypto.Signer, want plan.Certificate, now time.Time) error {
	cert, err := decodeCertificate(certPEM)
	if err != nil {
		return err
	}
	usages, err := extendedUsages(want.Profile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.cert)
	for _, u := range usages { // Verify is content with any one of a list
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{u}}); err != nil {
			return err
		}
	}
	if !belongs(key, cert) {
		return fmt.Errorf("it does not hold the public half of its key")
	}
	if why := difference(cert, want); why != "" {
		return fmt.Errorf("%s", why)
	}
	return nil
}

// belongs tells whether key is the private half of cert.
func belongs(key crypto.Signer, cert *x509.Certificate) bool {
	public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}

// difference says in what a certificate departs from a request, lifetime apart;
// empty when in nothing. The order of names and addresses has no meaning.
func difference(cert *x509.Certificate, want plan.Certificate) string {
	if cert.Subject.CommonName != want.CN {
		return fmt.Sprintf("common name changed from %q to %q", cert.Subject.CommonName, want.CN)
	}
	if d := compare(cert.Subject.Organization, want.O); d != "" {
		return "groups changed: " + d
	}
	if d := compare(cert.DNSNames, want.DNS); d != "" {
		return "names changed: " + d
	}
	have := make([]string, len(cert.IPAddresses))
	for i, ip := range cert.IPAddresses {
		have[i] = canonicalIP(ip.String())
	}
	ips := make([]string, len(want.IPs))
	for i, ip := range want.IPs {
		ips[i] = canonicalIP(ip)
	}
	if d := compare(have, ips); d != "" {
		return "addresses changed: " + d
	}
	if len(cert.EmailAddresses)+len(cert.URIs) > 0 {
		return "a name was taken for a mail address or a URI"
	}
	usages, err := extendedUsages(want.Profile)
	if err != nil {
		return err.Error()
	}
	if !slices.Equal(sorted(cert.ExtKeyUsage), sorted(usages)) {
		return fmt.Sprintf("usage changed: its profile is now %s", want.Profile)
	}
	return ""
}

// changedSince says why a stored leaf no longer answers its request; empty when
// it does.
func changedSince(cert, authority *x509.Certificate, want plan.Certificate) string {
	if d := difference(cert, want); d != "" {
		return d
	}
	// A comparison of key ids, not a signature check: that the file is the one
	// which was verified when it was issued is known from the index.
	if !slices.Equal(cert.AuthorityKeyId, authority.SubjectKeyId) {
		return fmt.Sprintf("authority changed to %s", want.Authority)
	}
	if days := int((cert.NotAfter.Sub(cert.NotBefore) - backdate) / (24 * time.Hour)); days != want.Days {
		return fmt.Sprintf("lifetime changed from %d to %d days", days, want.Days)
	}
	return ""
}

// compare lists what was added to and removed from a set, "+a -b".
func compare(have, want []string) string {
	have, want = slices.Compact(sorted(have)), slices.Compact(sorted(want))
	var out []string
	for _, w := range want {
		if !slices.Contains(have, w) {
			out = append(out, "+"+w)
		}
	}
	for _, h := range have {
		if !slices.Contains(want, h) {
			out = append(out, "-"+h)
		}
	}
	return strings.Join(out, " ")
}

func canonicalIP(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().String()
	}
	return s
}

func sorted[T cmp.Ordered](in []T) []T {
	out := slices.Clone(in)
	slices.Sort(out)
	return out
}

// day is a date as people write it in a file.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
