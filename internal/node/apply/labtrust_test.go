//go:build lab

package apply

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/node/api"
	"github.com/imgforge/imgforge/internal/testtool/apiserver"
)

// realBindings asks with a kubelet's leaf for what the bindings grant.
func realBindings(t *testing.T, c *apiserver.Cluster) {
	c.Controllers()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "system:node:master-1", Organization: []string{"system:nodes"}}}, key)
	if err != nil {
		t.Fatal(err)
	}
	const path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
	c.Leaf("kubelet").Must(t, http.MethodPost, path, string(body(map[string]any{
		"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": map[string]any{"name": "rotation"},
		"spec": map[string]any{"signerName": "kubernetes.io/kube-apiserver-client-kubelet", "usages": []string{"digital signature", "client auth"},
			"request": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})}})))
	until(t, "the kubelet's next client certificate is signed", func() bool {
		return strings.Contains(string(c.Admin().Must(t, http.MethodGet, path+"/rotation", "")), `"certificate":`)
	})
	answer := c.Admin().Must(t, http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", string(body(map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": map[string]any{"user": "kube-apiserver-kubelet-client",
			"resourceAttributes": map[string]any{"verb": "create", "resource": "nodes", "subresource": "proxy"}}})))
	if !strings.Contains(string(answer), `"allowed":true`) {
		t.Errorf("the API server may not speak to kubelets: %s", answer)
	}
}

// realLease lets two masters want the lease while their clocks go on.
func realLease(t *testing.T, c *apiserver.Cluster) {
	client, err := api.New(c.Root)
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Now()
	now := func() time.Time { return clock }
	one, two := &lock{client: client, identity: "one", now: now}, &lock{client: client, identity: "two", now: func() time.Time { return clock.Add(-time.Hour) }}
	expect := func(l *lock, want string) {
		t.Helper()
		if holder, err := l.take(t.Context()); err != nil || holder != want {
			t.Errorf("%s takes it at %v: %q %v, not %q", l.identity, clock, holder, err, want)
		}
	}
	expect(one, "one")
	expect(two, "one")
	clock = clock.Add(leaseTime - time.Second)
	expect(one, "one") // renewed
	clock = clock.Add(2 * time.Second)
	expect(two, "one")
	clock = clock.Add(leaseTime - time.Second)
	expect(two, "one")
	clock = clock.Add(time.Second)
	expect(two, "two") // not renewed for as long as it lasts, as seen from there
	expect(one, "two")
	if err := one.release(t.Context()); err != nil { // not its own any more
		t.Error(err)
	}
	expect(one, "two")
	if err := two.release(t.Context()); err != nil {
		t.Error(err)
	}
	expect(one, "one")
	clock = clock.Add(time.Second)
	realLoss(t, one, two)
}

// realLoss takes the lease from a master at work, whose work has to end.
func realLoss(t *testing.T, one, two *lock) {
	holder, err := one.during(t.Context(), func(ctx context.Context) error {
		have := lease{}
		if err := one.client.Get(ctx, leaseRef(), &have); err != nil {
			return err
		}
		have.Spec.Holder, have.Spec.Renewed = "two", "2026-01-01T00:00:00.000000Z"
		if err := one.client.Update(ctx, leaseRef(), "", body(have), nil); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if holder != "one" || err == nil || !strings.Contains(err.Error(), "two took the lease") {
		t.Errorf("after the loss: %q %v", holder, err)
	}
	if err := two.release(t.Context()); err != nil {
		t.Error(err)
	}
}

// realLeaf lets the leaf of metrics-server come near its end.
func realLeaf(t *testing.T, c *apiserver.Cluster) {
	const path = "/api/v1/namespaces/kube-system/secrets/metrics-server-tls"
	read := func() (s struct{ Data map[string][]byte }) {
		if err := json.Unmarshal(c.Admin().Must(t, http.MethodGet, path, ""), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	old := read().Data
	before := versions(t, c)
	later := func(a *applier) { a.o.Now = func() time.Time { return time.Now().AddDate(0, 0, 340) } }
	quietKept(t, once(t, c, "master-1", later))
	now := read().Data
	if bytes.Equal(old["tls.crt"], now["tls.crt"]) || bytes.Equal(old["tls.key"], now["tls.key"]) {
		t.Fatal("the leaf was not renewed")
	}
	if last := authority(old["tls.crt"]); last == nil || !bytes.Contains(now["tls.crt"], old["tls.crt"][bytes.LastIndex(old["tls.crt"], []byte("-----BEGIN")):]) {
		t.Error("the authority before is not trusted any more")
	}
	var s struct {
		Spec struct {
			CABundle []byte `json:"caBundle"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(c.Admin().Must(t, http.MethodGet, "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io", ""), &s); err != nil || !bytes.Equal(s.Spec.CABundle, now["tls.crt"]) {
		t.Errorf("the API server trusts something else: %v", err)
	}
	after := versions(t, c)
	same(t, map[string]string{recordRef().String(): before[recordRef().String()]}, after)
	quietKept(t, once(t, c, "master-2", later))
	same(t, after, versions(t, c))
}
