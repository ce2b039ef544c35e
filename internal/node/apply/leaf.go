package apply

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"time"

	"github.com/imgforge/imgforge/internal/node/api"
	"github.com/imgforge/imgforge/profiles/addons"
)

const (
	leafDays    = 365
	leafReserve = 30 * 24 * time.Hour // what is left when a leaf is renewed
	leafEvery   = time.Hour           // between two looks at it
	backdated   = 24 * time.Hour      // clocks of nodes may differ
)

// pair is the leaf that metrics-server serves with, in PEM. Behind the leaf stands
// the authority that signed it, which is the kubelets' (the one whose key masters
// have), and where that changed the one before, so that the API server trusts both
// while pods take up a new leaf.
type pair struct{ cert, key []byte }

// secretRef is the Secret of metrics-server's leaf; there is none where the add-on is off.
func (a *applier) secretRef() (api.Ref, bool) {
	m, _ := pick(a.wanted, addons.MetricsServer)
	i := slices.IndexFunc(m.Objects, func(o addons.Object) bool { return o.Kind == "Secret" })
	if i < 0 {
		return api.Ref{}, false
	}
	return ref(m.Objects[i]), true
}

// leafDue tells, once an hour, whether the leaf has to be renewed.
func (a *applier) leafDue(ctx context.Context) (bool, error) {
	_, on := a.secretRef()
	if !on || a.o.Now().Before(a.leafAt) {
		return false, nil
	}
	have, err := a.readLeaf(ctx)
	if err != nil {
		return false, err
	}
	if a.fresh(have) {
		a.leafAt = a.o.Now().Add(leafEvery)
		return false, nil
	}
	return true, nil
}

// readLeaf reads the pair out of the cluster; it is empty where there is none.
func (a *applier) readLeaf(ctx context.Context) (pair, error) {
	r, _ := a.secretRef()
	var secret struct {
		Data map[string][]byte `json:"data"`
	}
	if err := a.client.Get(ctx, r, &secret); err != nil && !api.Missing(err) {
		return pair{}, err
	}
	return pair{secret.Data["tls.crt"], secret.Data["tls.key"]}, nil
}

// fresh tells whether a pair serves and will for a while.
func (a *applier) fresh(p pair) bool {
	both, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil || both.Leaf == nil {
		return false
	}
	signer, _ := pem.Decode(a.facts.KubeletCA)
	return signer != nil && bytes.Equal(signer.Bytes, authority(p.cert)) && both.Leaf.NotAfter.Sub(a.o.Now()) > leafReserve
}

// renewLeaf applies a new leaf where that in the cluster will not do, whatever else
// of the add-on there is to apply.
func (a *applier) renewLeaf(ctx context.Context) (refused []string, err error) {
	due, err := a.leafDue(ctx)
	if err != nil || !due {
		return nil, err
	}
	objects, err := a.withLeaf(ctx)
	if err != nil {
		return nil, err
	}
	_, refused, err = a.applyObjects(ctx, slices.DeleteFunc(objects, func(o addons.Object) bool { return o.Kind != "Secret" && o.Kind != "APIService" }))
	if err == nil && len(refused) == 0 {
		a.leafAt = a.o.Now().Add(leafEvery)
	}
	return refused, err
}

// withLeaf are metrics-server's objects with the leaf in the cluster, or with a new
// one where that will not do.
func (a *applier) withLeaf(ctx context.Context) ([]addons.Object, error) {
	p, err := a.readLeaf(ctx)
	if err != nil {
		return nil, err
	}
	if !a.fresh(p) {
		if p, err = a.newLeaf(p.cert); err != nil {
			return nil, fmt.Errorf("%w: make the leaf of metrics-server: %w", errUnable, err)
		}
	}
	f := a.facts
	f.MetricsCert, f.MetricsKey = p.cert, p.key
	all, err := addons.Render(a.cluster, f)
	if err != nil {
		return nil, fmt.Errorf("%w: render the add-ons: %w", errUnable, err)
	}
	i := slices.IndexFunc(all, func(r addons.Addon) bool { return r.Name == addons.MetricsServer })
	return all[i].Objects, nil
}

// newLeaf has the authority of the kubelets sign a leaf. Behind it stands the one
// of the pair before, if that was another.
func (a *applier) newLeaf(before []byte) (pair, error) {
	signer, err := tls.LoadX509KeyPair(filepath.Join(a.o.Root, kubeletCAPath), filepath.Join(a.o.Root, kubeletCAKeyPath))
	if err != nil {
		return pair{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), a.o.Rand)
	if err != nil {
		return pair{}, err
	}
	now := a.o.Now()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "metrics-server"},
		DNSNames:  []string{"metrics-server.kube-system.svc", "metrics-server.kube-system", "metrics-server"},
		NotBefore: now.Add(-backdated), NotAfter: now.AddDate(0, 0, leafDays),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(a.o.Rand, leaf, signer.Leaf, key.Public(), signer.PrivateKey)
	if err != nil {
		return pair{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	last := authority(before)
	if bytes.Equal(last, signer.Leaf.Raw) {
		last = nil
	}
	var b bytes.Buffer
	for _, der := range [][]byte{der, signer.Leaf.Raw, last} {
		if der != nil {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		}
	}
	return pair{b.Bytes(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})}, nil
}

// authority is the second certificate of a pair, nil where there is none.
func authority(certs []byte) []byte {
	_, rest := pem.Decode(certs)
	block, _ := pem.Decode(rest)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil
	}
	return block.Bytes
}
