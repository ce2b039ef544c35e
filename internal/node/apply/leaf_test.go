package apply

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/imgforge/imgforge/profiles/addons"
)

// serves shakes hands with a server that has the pair, as the API server's
// aggregator does, which trusts bundle.
func serves(t *testing.T, p pair, bundle []byte, at time.Time) error {
	t.Helper()
	leaf, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	here, there := net.Pipe()
	server := tls.Server(there, &tls.Config{Certificates: []tls.Certificate{leaf}})
	go func() {
		_ = server.Handshake()
		there.Close()
	}()
	defer here.Close()
	return tls.Client(here, &tls.Config{RootCAs: roots, ServerName: "metrics-server.kube-system.svc", Time: func() time.Time { return at }}).Handshake()
}

// The API server trusts the leaf that it gets, and while pods take up a new one,
// the one before.
func TestLeafIsTrusted(t *testing.T) {
	now := time.Now()
	var generations []pair
	var before []byte
	for i := range 3 {
		p, err := newLeaf(rand.Reader, now.AddDate(0, 0, i*340), before)
		if err != nil {
			t.Fatal(err)
		}
		generations, before = append(generations, p), p.cert
		a := &applier{o: Options{Now: func() time.Time { return now.AddDate(0, 0, i*340) }}}
		if !a.fresh(p) {
			t.Error("a new leaf is not fresh")
		}
		a.o.Now = func() time.Time { return now.AddDate(0, 0, i*340+336) }
		if a.fresh(p) {
			t.Error("a leaf that ends within 30 days is fresh")
		}
		if other, _ := newLeaf(rand.Reader, now, nil); a.fresh(pair{p.cert, other.key}) || a.fresh(pair{}) {
			t.Error("what does not serve is fresh")
		}
	}
	at := now.AddDate(0, 0, 341)
	for _, c := range []struct {
		serves, trusted int
		want            bool
	}{{0, 0, true}, {1, 1, true}, {0, 1, true}, {1, 0, false}, {2, 1, false}, {0, 2, false}} {
		err := serves(t, generations[c.serves], generations[c.trusted].cert, at)
		if c.serves == 2 || c.trusted == 2 {
			err = serves(t, generations[c.serves], generations[c.trusted].cert, now.AddDate(0, 0, 681))
		}
		if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); err != nil && !untrusted || (err == nil) != c.want {
			t.Errorf("leaf %d before a server that trusts bundle %d: %v", c.serves, c.trusted, err)
		}
	}
	if n := bytes.Count(generations[2].cert, []byte("BEGIN CERTIFICATE")); n != 3 {
		t.Errorf("the bundle grows: %d certificates after two renewals", n)
	}
}

// Masters make different leaves and must agree on what is applied all the same.
func TestHashesDoNotDependOnTheLeaf(t *testing.T) {
	c := theCluster()
	c.Addons.MetricsServer = true
	c.Addons.Images["metrics-server"] = "metrics-server:v1"
	hashes := map[string]bool{}
	for _, f := range []addons.Facts{{KubeletCA: []byte("ca")}, {KubeletCA: []byte("ca"), MetricsCert: []byte("a"), MetricsKey: []byte("b")}} {
		all, err := wanted(c, f)
		if err != nil {
			t.Fatal(err)
		}
		m, ok := pick(all, addons.MetricsServer)
		if !ok {
			t.Fatal("no metrics-server")
		}
		hashes[m.hash] = true
	}
	other, err := wanted(c, addons.Facts{KubeletCA: []byte("another")})
	if err != nil {
		t.Fatal(err)
	}
	if m, _ := pick(other, addons.MetricsServer); len(hashes) != 1 || hashes[m.hash] {
		t.Errorf("%v, and with another authority of kubelets %s", hashes, m.hash)
	}
}
