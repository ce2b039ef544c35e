package approve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
)

// serving are the usages that a kubelet with an ECDSA key asks for.
var serving = [...]string{"digital signature", "server auth"}

// request is what the kubelet of a node makes, with a change.
func request(t *testing.T, node, address string, change func(*x509.CertificateRequest)) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signed(t, node, address, key, change)
}

func signed(t *testing.T, node, address string, key any, change func(*x509.CertificateRequest)) []byte {
	t.Helper()
	template := &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "system:node:" + node, Organization: []string{"system:nodes"}},
		DNSNames: []string{node}, IPAddresses: []net.IP{net.ParseIP(address)},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func plan() artifact.ClusterFile {
	return artifact.ClusterFile{Nodes: []artifact.ClusterNode{
		{Name: "master-1", Role: "master", Address: "192.168.66.11"},
		{Name: "worker-1", Role: "worker", Address: "192.168.66.31"},
		{Name: "worker-2", Role: "worker", Address: "192.168.66.32"},
	}}
}

// honest is worker-1's own request.
func honest(t *testing.T) Request {
	return Request{Signer: signer, User: "system:node:worker-1", Groups: []string{"system:nodes", "system:authenticated"},
		Usages: serving[:], PEM: request(t, "worker-1", "192.168.66.31", nil)}
}

func TestHonestRequests(t *testing.T) {
	if err := Judge(honest(t), plan()); err != nil {
		t.Error(err)
	}
	r := honest(t)
	r.Usages = []string{"key encipherment", "server auth", "digital signature"}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	r.PEM = signed(t, "worker-1", "192.168.66.31", key, nil)
	if err := Judge(r, plan()); err != nil {
		t.Errorf("with an RSA key: %v", err)
	}
}

// Everything that a request may hold and a kubelet's does not, is refused.
func TestForgedRequests(t *testing.T) {
	csr := func(change func(*x509.CertificateRequest)) func(*Request) {
		return func(r *Request) { r.PEM = request(t, "worker-1", "192.168.66.31", change) }
	}
	for name, c := range map[string]struct {
		forge func(*Request)
		want  string
	}{
		"another signer":     {func(r *Request) { r.Signer = "kubernetes.io/kube-apiserver-client-kubelet" }, "signer"},
		"no node asks":       {func(r *Request) { r.User = "system:serviceaccount:default:default" }, "is no node"},
		"the group is wrong": {func(r *Request) { r.Groups = []string{"system:authenticated"} }, "is no node"},
		"an unknown node": {func(r *Request) {
			r.User = "system:node:worker-9"
			r.PEM = request(t, "worker-9", "192.168.66.31", nil)
		}, "no such node"},
		"another node asks":   {func(r *Request) { r.User = "system:node:worker-2" }, `its CN is "system:node:worker-1", and "system:node:worker-2" asks`},
		"for another node":    {func(r *Request) { r.PEM = request(t, "master-1", "192.168.66.11", nil) }, `its CN is "system:node:master-1"`},
		"another node's name": {csr(func(c *x509.CertificateRequest) { c.DNSNames = []string{"worker-2"} }), `names ["worker-2"]; the plan says "worker-1"`},
		"client usage":        {func(r *Request) { r.Usages = []string{"digital signature", "client auth"} }, "client auth"},
		"client usage too":    {func(r *Request) { r.Usages = append(r.Usages[:2:2], "client auth") }, "client auth"},
		"no server usage":     {func(r *Request) { r.Usages = []string{"digital signature"} }, "lack"},
		"no usage":            {func(r *Request) { r.Usages = nil }, "lack"},
		"another CN":          {csr(func(c *x509.CertificateRequest) { c.Subject.CommonName = "kubernetes-admin" }), "kubernetes-admin"},
		"another O":           {csr(func(c *x509.CertificateRequest) { c.Subject.Organization = []string{"system:masters"} }), "system:masters"},
		"one O more": {csr(func(c *x509.CertificateRequest) {
			c.Subject.Organization = append(c.Subject.Organization, "system:masters")
		}), "system:masters"},
		"no O":  {csr(func(c *x509.CertificateRequest) { c.Subject.Organization = nil }), "its O"},
		"an OU": {csr(func(c *x509.CertificateRequest) { c.Subject.OrganizationalUnit = []string{"x"} }), "more than CN and O"},
		"two CNs": {csr(func(c *x509.CertificateRequest) {
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "admin"}}
		}), ""},
		"one name more":     {csr(func(c *x509.CertificateRequest) { c.DNSNames = append(c.DNSNames, "kubernetes.default") }), "kubernetes.default"},
		"no name":           {csr(func(c *x509.CertificateRequest) { c.DNSNames = nil }), "names []"},
		"a wild card":       {csr(func(c *x509.CertificateRequest) { c.DNSNames = []string{"*"} }), `"*"`},
		"another address":   {csr(func(c *x509.CertificateRequest) { c.IPAddresses = []net.IP{net.IPv4(192, 168, 66, 253)} }), "192.168.66.253"},
		"one address more":  {csr(func(c *x509.CertificateRequest) { c.IPAddresses = append(c.IPAddresses, net.IPv4(10, 96, 0, 1)) }), "10.96.0.1"},
		"no address":        {csr(func(c *x509.CertificateRequest) { c.IPAddresses = nil }), "addresses []"},
		"an e-mail address": {csr(func(c *x509.CertificateRequest) { c.EmailAddresses = []string{"a@example.org"} }), "e-mail"},
		"a URI":             {csr(func(c *x509.CertificateRequest) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: "x"}} }), "URI"},
		"a CA":              {csr(extra(asn1.ObjectIdentifier{2, 5, 29, 19}, []byte{0x30, 0x03, 0x01, 0x01, 0xff})), "other extensions"},
		"another kind":      {csr(registered), "of a kind"},
		"no request":        {func(r *Request) { r.PEM = []byte("x") }, "exactly one"},
		"a certificate": {func(r *Request) {
			r.PEM = []byte(strings.ReplaceAll(string(r.PEM), "CERTIFICATE REQUEST", "CERTIFICATE"))
		}, "exactly one"},
		"two requests": {func(r *Request) { r.PEM = append(r.PEM, r.PEM...) }, "exactly one"},
		"damaged": {func(r *Request) {
			r.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte{1, 2}})
		}, "cannot be read"},
		"another key's hand": {func(r *Request) { r.PEM = resigned(t, r.PEM) }, "not signed by the key"},
	} {
		t.Run(name, func(t *testing.T) {
			r := honest(t)
			c.forge(&r)
			if err := Judge(r, plan()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, not %q", err, c.want)
			}
		})
	}
}

// extra asks for one extension more.
func extra(id asn1.ObjectIdentifier, value []byte) func(*x509.CertificateRequest) {
	return func(c *x509.CertificateRequest) { c.ExtraExtensions = []pkix.Extension{{Id: id, Value: value}} }
}

// registered puts a name beside the others that Go's parser passes over: a registered id.
func registered(c *x509.CertificateRequest) {
	names := []asn1.RawValue{
		{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte("worker-1")},
		{Class: asn1.ClassContextSpecific, Tag: 7, Bytes: []byte{192, 168, 66, 31}},
		{Class: asn1.ClassContextSpecific, Tag: 8, Bytes: []byte{0x2a, 0x03}},
	}
	value, err := asn1.Marshal(names)
	if err != nil {
		panic(err)
	}
	extra(asn1.ObjectIdentifier{2, 5, 29, 17}, value)(c)
}

// resigned damages the signature, which is the last thing in a request.
func resigned(t *testing.T, text []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(text)
	block.Bytes[len(block.Bytes)-1] ^= 1
	return pem.EncodeToMemory(block)
}
