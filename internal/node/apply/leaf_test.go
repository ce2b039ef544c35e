package apply

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/testtool/apiserver"
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
	err = tls.Client(here, &tls.Config{RootCAs: roots, ServerName: "metrics-server.kube-system.svc", Time: func() time.Time { return at }}).Handshake()
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); err != nil && !untrusted {
		t.Error(err)
	}
	return err
}

// The API server trusts the leaf that it gets, and after the authority changed, while
// pods take up a new one, the one before.
func TestLeafIsTrusted(t *testing.T) {
	now := time.Now()
	a := &applier{o: Options{Rand: rand.Reader, Now: func() time.Time { return now }}}
	var generations []pair
	var before, last []byte
	for range 3 { // each from a store of its own
		a.o.Root = apiserver.NewStandIn(t, theCluster()).Root
		signer, err := os.ReadFile(filepath.Join(a.o.Root, kubeletCAPath))
		if err != nil {
			t.Fatal(err)
		}
		a.facts.KubeletCA = signer
		if a.fresh(pair{before, last}) {
			t.Error("a leaf of another authority is fresh")
		}
		for range 2 {
			p, err := a.newLeaf(before)
			if err != nil {
				t.Fatal(err)
			}
			before, last = p.cert, p.key
			if !a.fresh(p) || a.fresh(pair{}) || len(generations) > 0 && a.fresh(pair{p.cert, generations[0].key}) {
				t.Error("what serves is not fresh, or what does not serve is")
			}
		}
		p, err := a.newLeaf(before)
		if err != nil {
			t.Fatal(err)
		}
		generations = append(generations, p)
	}
	// Renewed twice by the same authority, the leaf has that one alone behind it.
	for i, n := range []int{2, 2, 2} {
		if got := bytes.Count(generations[i].cert, []byte("BEGIN CERTIFICATE")); got != n {
			t.Errorf("generation %d has %d certificates, not %d", i, got, n)
		}
	}
	changed, err := a.newLeaf(generations[1].cert)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name             string
		serves, trusting pair
		want             bool
	}{
		{"its own", generations[0], generations[0], true},
		{"the one before", generations[1], changed, true},
		{"the new one", changed, changed, true},
		{"one of long ago", generations[0], changed, false},
		{"the new one, before anybody knows it", changed, generations[1], false},
	} {
		if err := serves(t, c.serves, c.trusting.cert, now); (err == nil) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	a.o.Now = func() time.Time { return now.AddDate(0, 0, leafDays-29) }
	if a.fresh(changed) {
		t.Error("a leaf that ends within 30 days is fresh")
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
