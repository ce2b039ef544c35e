package proof

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// openssl follows every planned leaf, as it lies on its node, to its authority,
// for each use and each name and address that it is planned for.
func TestOpensslVerifiesEveryChain(t *testing.T) {
	openssl := testtool.Path(t, "openssl")
	for _, name := range exampleNames(t) {
		c := example(t, name)
		for _, r := range c.roles() {
			n := c.plan.NodesOf(r.Name)[0].Name
			t.Run(name+"/"+n, func(t *testing.T) {
				leaves, keys := material(t, c.tree(t, n))
				judged := 0
				for _, planned := range c.plan.Certificates {
					if planned.Node != n {
						continue
					}
					judged++
					authority := c.path("out", "public", "authorities", planned.Authority+".crt")
					leaf := find(t, leaves, planned, authority)
					if leaf == nil {
						t.Errorf("%s is planned and is nowhere on the node", planned.ID)
						continue
					}
					if !keys[fingerprint(t, leaf.PublicKey)] {
						t.Errorf("%s is on the node without its key", planned.ID)
					}
					verifyLeaf(t, openssl, authority, leaf, planned)
				}
				if judged < 2 {
					t.Errorf("only %d leaves are planned for %s", judged, n)
				}
			})
		}
	}
}

// material is every leaf in a tree, and the public halves of every private key.
func material(t testing.TB, root string) (leaves []*x509.Certificate, keys map[string]bool) {
	t.Helper()
	keys = map[string]bool{}
	for _, e := range entries(t, root) {
		if !e.mode.IsRegular() {
			continue
		}
		for _, cert := range certificatesIn(e.contents) {
			if !cert.IsCA {
				leaves = append(leaves, cert)
			}
		}
		for _, public := range privateKeysIn(t, e.contents) {
			keys[fingerprint(t, public)] = true
		}
	}
	return leaves, keys
}

// find is the leaf of a plan's certificate: the subject, the authority and the names all fit.
func find(t testing.TB, leaves []*x509.Certificate, planned plan.Certificate, authority string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	issuer := certificatesIn(string(data))[0].Subject.String()
	for _, leaf := range leaves {
		if leaf.Subject.CommonName == planned.CN && slices.Equal(leaf.Subject.Organization, planned.O) && leaf.Issuer.String() == issuer &&
			len(leaf.DNSNames) == len(planned.DNS) && len(leaf.IPAddresses) == len(planned.IPs) && slices.Equal(uses(leaf), purposes(planned.Profile)) {
			return leaf
		}
	}
	return nil
}

// purposes are openssl's names for what a profile is for, in order.
func purposes(profile string) []string {
	return map[string][]string{"server": {"sslserver"}, "client": {"sslclient"}, "peer": {"sslclient", "sslserver"}}[profile]
}

func uses(leaf *x509.Certificate) []string {
	var out []string
	for _, u := range leaf.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageServerAuth:
			out = append(out, "sslserver")
		case x509.ExtKeyUsageClientAuth:
			out = append(out, "sslclient")
		}
	}
	slices.Sort(out)
	return out
}

func verifyLeaf(t *testing.T, openssl, authority string, leaf *x509.Certificate, planned plan.Certificate) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "leaf.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	verify := func(args ...string) error {
		args = append([]string{"verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", authority}, args...)
		return exec.Command(openssl, append(args, file)...).Run()
	}
	for _, purpose := range []string{"sslserver", "sslclient"} {
		err := verify("-purpose", purpose)
		if want := slices.Contains(purposes(planned.Profile), purpose); (err == nil) != want {
			t.Errorf("%s: verifies as %s: %v, want %t", planned.ID, purpose, err, want)
		}
	}
	for _, name := range planned.DNS {
		if err := verify("-verify_hostname", strings.TrimPrefix(name, "*.")); err != nil {
			t.Errorf("%s: not for the name %s: %v", planned.ID, name, err)
		}
	}
	for _, address := range planned.IPs {
		if err := verify("-verify_ip", address); err != nil {
			t.Errorf("%s: not for the address %s: %v", planned.ID, address, err)
		}
	}
	// A check that passes for any name would prove nothing.
	if verify("-verify_hostname", "elsewhere.example.net") == nil || verify("-verify_ip", "192.0.2.1") == nil {
		t.Errorf("%s is for names and addresses that are not planned", planned.ID)
	}
}

// The fields of the cluster file that only an authority shows.
func TestAuthorityFields(t *testing.T) {
	const file = "name: pocket\nplatform: {provider: libvirt}\nendpoint: {mode: local}\nnetwork: {mesh: none, cidr: 192.168.122.0/24}\nroles: {master: {count: 1}}\n"
	read := func(text string) *x509.Certificate {
		c := fromFile(t, text)
		data, err := os.ReadFile(c.path("store", "authorities", "kubernetes.crt"))
		if err != nil {
			t.Fatal(err)
		}
		return certificatesIn(string(data))[0]
	}
	plain, changed := read(file), read(file+"pki: {algorithm: rsa-2048, authorityDays: 1000}\n")
	if plain.PublicKeyAlgorithm != x509.ECDSA || changed.PublicKeyAlgorithm != x509.RSA {
		t.Errorf("pki.algorithm: %v became %v, want ECDSA and RSA", plain.PublicKeyAlgorithm, changed.PublicKeyAlgorithm)
	}
	if a, b := plain.NotAfter.Sub(plain.NotBefore), changed.NotAfter.Sub(changed.NotBefore); b >= a {
		t.Errorf("pki.authorityDays: a lifetime of %v became %v, want a shorter one", a, b)
	}
}
