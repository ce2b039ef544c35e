package pki

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// openssl runs openssl and returns both of its outputs.
func openssl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command(testtool.Path(t, "openssl"), args...).CombinedOutput()
	return string(out), err
}

// at is the clock of openssl verify: the tests' own.
func at() []string { return []string{"-attime", strconv.FormatInt(noon.Unix(), 10)} }

func TestOpensslAcceptsEveryChain(t *testing.T) {
	for _, alg := range []string{"ecdsa-256", "rsa-2048"} {
		t.Run(alg, func(t *testing.T) {
			p := cluster(1, 1)
			if alg != DefaultAlgorithm {
				p.Keys[0].Kind = "rsa"
			}
			s := made(t, p, Options{Algorithm: alg})
			for _, c := range p.Certificates {
				checkChain(t, s, c)
			}
			checkLabel(t, s, alg)
		})
	}
}

func checkChain(t *testing.T, s *Store, c plan.Certificate) {
	t.Helper()
	ca := s.path("authorities/" + c.Authority + ".crt")
	crt := s.path("nodes/" + c.ID + ".crt")
	purposes := map[string][]string{"server": {"sslserver"}, "client": {"sslclient"}, "peer": {"sslserver", "sslclient"}}[c.Profile]
	for _, purpose := range purposes {
		base := append([]string{"verify", "-x509_strict", "-CAfile", ca, "-purpose", purpose}, at()...)
		for _, extra := range sans(c) {
			if out, err := openssl(t, append(append(base, extra...), crt)...); err != nil {
				t.Errorf("%s for %s %v: %s", c.ID, purpose, extra, out)
			}
		}
		if c.Profile == "server" {
			if out, err := openssl(t, append(base, "-verify_ip", "192.0.2.1", crt)...); err == nil {
				t.Errorf("%s is accepted for an address it does not have: %s", c.ID, out)
			}
		}
	}
	if c.Profile == "client" {
		args := append([]string{"verify", "-CAfile", ca, "-purpose", "sslserver"}, at()...)
		if out, err := openssl(t, append(args, crt)...); err == nil {
			t.Errorf("%s, a client, is accepted as a server: %s", c.ID, out)
		}
	}
	// The key is readable by openssl, and the certificate's own.
	key, err := s.PrivateKey(c.ID)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, key, 0o600); err != nil {
		t.Fatal(err)
	}
	ofKey, err := openssl(t, "pkey", "-in", file, "-pubout")
	if err != nil {
		t.Fatalf("%s: openssl cannot read the key: %s", c.ID, ofKey)
	}
	ofCert, err := openssl(t, "x509", "-in", crt, "-noout", "-pubkey")
	if err != nil || ofCert != ofKey {
		t.Errorf("%s: key and certificate do not match", c.ID)
	}
}

// sans are the checks of every name and address that the certificate must answer to.
func sans(c plan.Certificate) [][]string {
	out := [][]string{nil}
	for _, ip := range c.IPs {
		out = append(out, []string{"-verify_ip", ip})
	}
	for _, name := range c.DNS {
		out = append(out, []string{"-verify_hostname", name})
	}
	return out
}

func checkLabel(t *testing.T, s *Store, alg string) {
	t.Helper()
	want := "-----BEGIN EC PRIVATE KEY-----\n"
	if strings.HasPrefix(alg, "rsa") {
		want = "-----BEGIN RSA PRIVATE KEY-----\n"
	}
	for _, read := range []func() ([]byte, error){
		func() ([]byte, error) { return s.PrivateKey("master-1/kubelet") },
		func() ([]byte, error) { return s.Secret("service-account") },
		func() ([]byte, error) { return s.AuthorityKey(KubeletSigner) },
	} {
		key, err := read()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(key, []byte(want)) {
			t.Errorf("%s: a key begins with %.40q", alg, key)
		}
	}
}

// What openssl prints of each kind of certificate, without what differs between
// runs.
func TestExtensionsAsOpensslReadsThem(t *testing.T) {
	s := made(t, cluster(1, 0), Options{})
	tests := []struct {
		file string
		want []string
	}{
		{"authorities/kubernetes.crt", []string{"subject=CN = kubernetes", "CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign", "notBefore=May  3 12:00:30 2031 GMT", "notAfter=May  1 12:00:30 2041 GMT"}},
		{"authorities/etcd.crt", []string{"subject=CN = etcd-ca", "CA:TRUE, pathlen:0"}},
		{"authorities/front-proxy.crt", []string{"subject=CN = front-proxy-ca"}},
		{"authorities/kubelet-signer.crt", []string{"subject=CN = kubernetes-kubelet-signer"}},
		{"nodes/master-1/apiserver.crt", []string{"subject=CN = kube-apiserver\n", "CA:FALSE", "TLS Web Server Authentication\n",
			"DNS:master-1, DNS:kubernetes, DNS:kubernetes.default.svc.cluster.local, ", "IP Address:0:0:0:0:0:0:0:1", "notBefore=May  3 12:00:30 2031 GMT", "notAfter=May  3 12:00:30 2032 GMT"}},
		{"nodes/master-1/etcd-peer.crt", []string{"TLS Web Server Authentication, TLS Web Client Authentication\n", "Digital Signature\n"}},
		{"nodes/master-1/kubelet.crt", []string{"subject=O = system:nodes, CN = system:node:master-1\n", "TLS Web Client Authentication\n"}},
	}
	for _, tt := range tests {
		out, err := openssl(t, "x509", "-in", s.path(tt.file), "-noout", "-subject", "-dates", "-ext", "basicConstraints,keyUsage,extendedKeyUsage,subjectAltName")
		if err != nil {
			t.Errorf("%s: %s", tt.file, out)
		}
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is missing from\n%s", tt.file, want, out)
			}
		}
		if strings.HasSuffix(tt.file, "kubelet.crt") && strings.Contains(out, "Alternative") {
			t.Errorf("%s: the common name became an alternative name", tt.file)
		}
	}
}
