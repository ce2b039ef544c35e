package pki

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloudflare/cfssl/config"
	"github.com/cloudflare/cfssl/csr"
	cfssllog "github.com/cloudflare/cfssl/log"
	"github.com/cloudflare/cfssl/signer"
	"github.com/cloudflare/cfssl/signer/local"

	"github.com/imgforge/imgforge/internal/plan"
)

// The names of the authorities.
const (
	Kubernetes    = plan.AuthorityKubernetes
	Etcd          = plan.AuthorityEtcd
	FrontProxy    = plan.AuthorityFrontProxy
	KubeletSigner = "kubelet-signer" // signs what kubelets request at run time, and no leaf of a plan
)

// authorityNames lists every authority with its common name, in the order of
// their names. kubeadm's three, and a signer of the kubelets' own requests whose
// key masters carry: what it signs is trusted less (see docs/security.md).
func authorityNames() [][2]string {
	return [][2]string{
		{Etcd, "etcd-ca"},
		{FrontProxy, "front-proxy-ca"},
		{KubeletSigner, "kubernetes-kubelet-signer"},
		{Kubernetes, "kubernetes"},
	}
}

// backdate is how far NotBefore lies back, for nodes whose clock is wrong until
// they have reached a time server.
const backdate = 24 * time.Hour

// quiet silences CFSSL's logger, which writes each serial number and several
// "received CSR" lines to stderr and has no other switch than a package variable
// of its own. Setting it once, before the first use and never again, keeps that
// write from racing with CFSSL's reads; every failure still arrives as an error.
var quiet = sync.OnceFunc(func() { cfssllog.Level = cfssllog.LevelFatal })

// newAuthority makes a self-signed authority of days days that may sign leaves
// and no further authorities. It is initca.New with the times passed in: initca
// itself reads the wall clock.
func newAuthority(cn string, alg algorithm, days int, now time.Time) (cert []byte, key crypto.Signer, err error) {
	quiet()
	if key, err = alg.generate(); err != nil {
		return nil, nil, fmt.Errorf("make key of authority %q: %w", cn, err)
	}
	request, err := csr.Generate(key, &csr.CertificateRequest{CN: cn})
	if err != nil {
		return nil, nil, fmt.Errorf("request authority %q: %w", cn, err)
	}
	notBefore, notAfter := validity(now, days)
	s, err := local.NewSigner(key, nil, signer.DefaultSigAlgo(key), &config.Signing{Default: &config.SigningProfile{
		Usage:        []string{"cert sign", "crl sign"},
		Expiry:       notAfter.Sub(notBefore),
		CAConstraint: config.CAConstraint{IsCA: true, MaxPathLenZero: true},
	}})
	if err != nil {
		return nil, nil, fmt.Errorf("sign authority %q: %w", cn, err)
	}
	cert, err = s.Sign(signer.SignRequest{Request: string(request), NotBefore: notBefore, NotAfter: notAfter})
	if err != nil {
		return nil, nil, fmt.Errorf("sign authority %q: %w", cn, err)
	}
	return cert, key, nil
}

// validity is from a day before now to days days after it, in whole seconds as
// certificates hold them.
func validity(now time.Time, days int) (notBefore, notAfter time.Time) {
	now = now.UTC().Truncate(time.Second)
	return now.Add(-backdate), now.Add(time.Duration(days) * 24 * time.Hour)
}

// extended maps a profile of the plan to CFSSL's names of extended key usages.
func extended(profile string) ([]string, error) {
	switch profile {
	case plan.ProfileServer:
		return []string{"server auth"}, nil
	case plan.ProfileClient:
		return []string{"client auth"}, nil
	case plan.ProfilePeer:
		return []string{"server auth", "client auth"}, nil
	}
	return nil, fmt.Errorf("profile %q is not known: it must be server, client or peer", profile)
}

// extendedUsages is extended as crypto/x509 spells it.
func extendedUsages(profile string) ([]x509.ExtKeyUsage, error) {
	names, err := extended(profile)
	if err != nil {
		return nil, err
	}
	out := make([]x509.ExtKeyUsage, len(names))
	for i, n := range names {
		out[i] = config.ExtKeyUsage[n]
	}
	return out, nil
}

// signing is the policy under which an authority signs leaves. The default
// profile allows nothing useful: CFSSL falls back to it when a profile's name is
// not in the map, which leafSigner.sign refuses before.
func signing(alg algorithm) (*config.Signing, error) {
	policy := &config.Signing{
		Default:  &config.SigningProfile{Usage: []string{"digital signature"}, Expiry: time.Minute},
		Profiles: map[string]*config.SigningProfile{},
	}
	for _, profile := range []string{plan.ProfileServer, plan.ProfileClient, plan.ProfilePeer} {
		usages, err := extended(profile)
		if err != nil {
			return nil, err
		}
		policy.Profiles[profile] = &config.SigningProfile{
			Usage:  slices.Concat(alg.usages(), usages),
			Expiry: time.Minute, // every request carries its own dates
		}
	}
	return policy, nil
}

// authorityCN is the common name of a known authority.
func authorityCN(name string) (string, error) {
	all := authorityNames()
	known := make([]string, len(all))
	for i, a := range all {
		if a[0] == name {
			return a[1], nil
		}
		known[i] = a[0]
	}
	return "", fmt.Errorf("authority %q is not known: it must be one of %s", name, strings.Join(known, ", "))
}
