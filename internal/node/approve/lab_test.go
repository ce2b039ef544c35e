//go:build lab

package approve

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool/apiserver"
)

// word takes what is reported.
type word struct {
	mu    sync.Mutex
	texts []string
}

func (w *word) Failed(f *bootcode.Failure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, f.Error())
}
func (w *word) Waiting(string, string) {}
func (w *word) Done(string, string)    {}

func (w *word) count(part string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.texts {
		n += strings.Count(text, part)
	}
	return n
}

func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for limit := time.Now().Add(60 * time.Second); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		if met() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

const requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests"

// ask posts a request in somebody's name.
func ask(t *testing.T, by *apiserver.Caller, name string, request []byte, usages ...string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"signerName": signer, "request": request, "usages": usages},
	})
	if err != nil {
		t.Fatal(err)
	}
	by.Must(t, http.MethodPost, requests, string(body))
}

func read(t *testing.T, c *apiserver.Cluster, name string) (o object) {
	t.Helper()
	if err := json.Unmarshal(c.Admin().Must(t, http.MethodGet, requests+"/"+name, ""), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// A true request is signed by the real signer, a forged one stays, and what people
// decide is left alone.
func TestRealAPIServer(t *testing.T) {
	c := apiserver.Start(t, "scaleway-ha")
	said := &word{}
	a, err := load(Options{Root: c.Root, Report: said})
	if err != nil {
		t.Fatal(err)
	}
	cluster := a.cluster
	address := func(name string) string {
		for _, n := range cluster.Nodes {
			if n.Name == name {
				return n.Address
			}
		}
		t.Fatalf("no node %s", name)
		return ""
	}
	c.Wait()
	c.Controllers()
	// One request is older than any approver.
	worker := c.Admin().As("system:node:worker-1", "system:nodes", "system:authenticated")
	ask(t, worker, "before", request(t, "worker-1", address("worker-1"), nil), serving[:]...)

	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for range 3 { // every master approves
		wait.Go(func() {
			if err := Run(ctx, Options{Root: c.Root, Report: said}); err != nil {
				t.Error(err)
			}
		})
	}
	defer wait.Wait()
	defer cancel()
	// The kubelet's own leaf, of the payload, asks.
	kubelet := c.Leaf("kubelet")
	ask(t, kubelet, "true", request(t, "master-1", address("master-1"), nil), serving[:]...)
	ask(t, kubelet, "forged-name", request(t, "master-1", address("master-1"), func(r *x509.CertificateRequest) { r.DNSNames = []string{"master-2"} }), serving[:]...)
	ask(t, c.Admin().As("mallory", "system:masters"), "forged-user", request(t, "worker-1", address("worker-1"), nil), serving[:]...)
	ask(t, kubelet, "forged-address", request(t, "master-1", address("master-2"), nil), serving[:]...)
	ask(t, kubelet, "by-hand", request(t, "master-1", "192.0.2.1", nil), serving[:]...)

	for name, node := range map[string]string{"before": "worker-1", "true": "master-1"} {
		until(t, name+" is signed", func() bool { return len(read(t, c, name).Status.Certificate) > 0 })
		chains(t, c, read(t, c, name).Status.Certificate, node, address(node))
	}
	for _, name := range []string{"forged-name", "forged-user", "forged-address", "by-hand"} {
		until(t, "the warning of "+name, func() bool { return said.count("why:    "+name+": ") == 3 }) // by each of three
		if o := read(t, c, name); len(o.Status.Conditions) > 0 || len(o.Status.Certificate) > 0 {
			t.Errorf("%s does not stay pending: %+v", name, o.Status)
		}
	}
	// What a person decides stays decided.
	byHand(t, c, "by-hand")
	until(t, "by-hand is signed", func() bool { return len(read(t, c, "by-hand").Status.Certificate) > 0 })
	if n := len(read(t, c, "by-hand").Status.Conditions); n != 1 {
		t.Errorf("by-hand has %d conditions", n)
	}
	// The API server may go and come.
	c.Restart()
	c.Wait()
	ask(t, c.Admin().As("system:node:worker-2", "system:nodes"), "after", request(t, "worker-2", address("worker-2"), nil), serving[:]...)
	until(t, "the request after the restart is signed", func() bool { return len(read(t, c, "after").Status.Certificate) > 0 })
	if n := said.count("by-hand: "); n != 3 {
		t.Errorf("by-hand was told of %d times, not once by each", n)
	}
	t.Logf("%s", strings.Join(said.texts[:1], "\n"))
}

// byHand approves what the plan does not say.
func byHand(t *testing.T, c *apiserver.Cluster, name string) {
	t.Helper()
	text := c.Admin().Must(t, http.MethodGet, requests+"/"+name, "")
	var o map[string]any
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	o["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Approved", "status": "True", "reason": "ByHand", "message": "a person"}}}
	body, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	c.Admin().Must(t, http.MethodPut, requests+"/"+name+"/approval", string(body))
}

// chains checks what was signed against the authority that API servers trust.
func chains(t *testing.T, c *apiserver.Cluster, certificate []byte, node, address string) {
	t.Helper()
	ca, err := os.ReadFile(filepath.Join(c.Root, "etc/kubernetes/pki/kubelet-signer.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	block, _ := pem.Decode(bytes.TrimSpace(certificate))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{node, address} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := fmt.Sprint(leaf.DNSNames, leaf.IPAddresses); got != fmt.Sprint([]string{node}, []netip.Addr{netip.MustParseAddr(address)}) {
		t.Errorf("signed for %s", got)
	}
}
