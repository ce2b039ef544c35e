package approve

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
)

// signer is the one signer whose requests are judged here.
const signer = "kubernetes.io/kubelet-serving"

const (
	nodePrefix = "system:node:"
	nodeGroup  = "system:nodes"
)

// Request is what counts of a CertificateSigningRequest.
type Request struct {
	Signer string
	User   string // whom the API server saw asking
	Groups []string
	Usages []string
	PEM    []byte // the PKCS#10 request
}

// Judge tells why a request is not that of the plan's node that it claims to come
// from, and nil when it is: everything in it must be what that node's own kubelet
// asks for, and nothing may be in it besides. What the request holds is quoted in the
// error, since anybody may have written it.
func Judge(r Request, c artifact.ClusterFile) error {
	if r.Signer != signer {
		return fmt.Errorf("the signer %q is not %s", r.Signer, signer)
	}
	name, ok := strings.CutPrefix(r.User, nodePrefix)
	if !ok || !slices.Contains(r.Groups, nodeGroup) {
		return fmt.Errorf("%q asks, who is no node", r.User)
	}
	i := slices.IndexFunc(c.Nodes, func(n artifact.ClusterNode) bool { return n.Name == name })
	if i < 0 {
		return fmt.Errorf("%q asks, and the plan has no such node", r.User)
	}
	if err := usages(r.Usages); err != nil {
		return err
	}
	request, err := parse(r.PEM)
	if err != nil {
		return err
	}
	if err := subject(request, r.User); err != nil {
		return err
	}
	return names(request, c.Nodes[i])
}

// usages are those of a serving certificate. Kubelets with an RSA key ask for key
// encipherment too.
func usages(have []string) error {
	var serving, signing bool
	for _, u := range have {
		switch u {
		case "server auth":
			serving = true
		case "digital signature":
			signing = true
		case "key encipherment":
		default:
			return fmt.Errorf("the usage %q is none of a serving certificate", u)
		}
	}
	if !serving || !signing {
		return fmt.Errorf("the usages %q lack those of a serving certificate", have)
	}
	return nil
}

// parse reads the one request of a PEM text, made by who holds its key.
func parse(data []byte) (*x509.CertificateRequest, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("it does not hold exactly one certificate request")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %q", err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, errors.New("it is not signed by the key that it asks a certificate for")
	}
	return request, nil
}

// subject must be the asking node's, and nothing more.
func subject(r *x509.CertificateRequest, user string) error {
	s := r.Subject
	switch {
	case s.CommonName != user:
		return fmt.Errorf("its CN is %q, and %q asks", s.CommonName, user)
	case !slices.Equal(s.Organization, []string{nodeGroup}):
		return fmt.Errorf("its O is %q, not %q alone", s.Organization, nodeGroup)
	case len(s.Names) != 2:
		return errors.New("its subject holds more than CN and O")
	}
	return nil
}

// names must be the plan's name and address of the node, and no others, whatever
// their kind.
func names(r *x509.CertificateRequest, n artifact.ClusterNode) error {
	address, err := netip.ParseAddr(n.Address)
	if err != nil {
		return fmt.Errorf("the plan's address of %s cannot be read: %w", n.Name, err)
	}
	var ips []netip.Addr
	for _, ip := range r.IPAddresses {
		a, _ := netip.AddrFromSlice(ip)
		ips = append(ips, a.Unmap())
	}
	switch {
	case !slices.Equal(r.DNSNames, []string{n.Name}):
		return fmt.Errorf("it is for the names %q; the plan says %q", r.DNSNames, n.Name)
	case !slices.Equal(ips, []netip.Addr{address}):
		return fmt.Errorf("it is for the addresses %v; the plan's address of %s is %s", ips, n.Name, address)
	case len(r.EmailAddresses) > 0 || len(r.URIs) > 0:
		return errors.New("it is for e-mail addresses or URIs")
	}
	return extensions(r)
}

// extensions may be the alternative names alone, and those may hold nothing that
// the parser passes over.
func extensions(r *x509.CertificateRequest) error {
	alternative := asn1.ObjectIdentifier{2, 5, 29, 17}
	if len(r.Extensions) != 1 || !r.Extensions[0].Id.Equal(alternative) {
		return errors.New("it asks for other extensions than its names")
	}
	var all []asn1.RawValue
	rest, err := asn1.Unmarshal(r.Extensions[0].Value, &all)
	if err != nil || len(rest) > 0 || len(all) != len(r.DNSNames)+len(r.IPAddresses) {
		return errors.New("it is for names of a kind that no kubelet has")
	}
	return nil
}
