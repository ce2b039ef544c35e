package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pair makes a certificate that signs itself.
func pair(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// node is the root of a master whose API server is handler.
func node(t *testing.T, handler http.HandlerFunc) (root string) {
	t.Helper()
	root = t.TempDir()
	cert, key := pair(t, "server")
	leaf, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{leaf}, ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	write(t, root, "/etc/imgforge/node.json", fmt.Appendf(nil, `{"apiserverPort":%d}`, server.Listener.Addr().(*net.TCPAddr).Port))
	write(t, root, authorityPath, cert)
	show(t, root, "first")
	return root
}

// show gives the node a leaf.
func show(t *testing.T, root, name string) {
	t.Helper()
	cert, key := pair(t, name)
	write(t, root, leafPath, cert)
	write(t, root, keyPath, key)
}

func write(t *testing.T, root, path string, data []byte) {
	t.Helper()
	path = filepath.Join(root, path)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A leaf that was renewed on disk is shown from the next request on.
func TestNewLeafIsShown(t *testing.T) {
	var shown []string
	root := node(t, func(_ http.ResponseWriter, r *http.Request) {
		shown = append(shown, r.TLS.PeerCertificates[0].Subject.CommonName)
	})
	c, err := New(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range []string{"", "second", "half"} {
		switch leaf {
		case "half": // a leaf whose key has not come yet is none
			cert, _ := pair(t, leaf)
			write(t, root, leafPath, append(cert, '\n'))
		case "second":
			show(t, root, leaf)
		}
		if err := os.Chtimes(filepath.Join(root, leafPath), time.Time{}, time.Now().Add(time.Duration(len(leaf))*time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(shown, " "); got != "first second second" {
		t.Errorf("shown: %s", got)
	}
}

// A server that another authority vouches for is told from one that is silent.
func TestStrangers(t *testing.T) {
	root := node(t, func(http.ResponseWriter, *http.Request) {})
	other, _ := pair(t, "other")
	write(t, root, authorityPath, other)
	c, err := New(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(t.Context()); !Strange(err) {
		t.Errorf("a stranger: %v", err)
	}
	write(t, root, "/etc/imgforge/node.json", []byte(`{"apiserverPort":1}`))
	if c, err = New(root); err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(t.Context()); err == nil || Strange(err) || Refused(err) != nil {
		t.Errorf("nobody: %v", err)
	}
}

// No error quotes a Secret, whatever the API server says of it.
func TestSecretsAreNotQuoted(t *testing.T) {
	root := node(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fmt.Fprint(w, `{"data": "hunter2"}`)
			return
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(w).Encode(map[string]any{"reason": "Invalid", "message": `data: Invalid value: "hunter2"`,
			"details": map[string]any{"causes": []any{map[string]string{"reason": "FieldValueInvalid", "message": `Invalid value: "hunter2"`, "field": "data"}}}})
	})
	c, err := New(root)
	if err != nil {
		t.Fatal(err)
	}
	secret := Ref{"v1", "Secret", "kube-system", "s"}
	err = c.Apply(t.Context(), secret, []byte(`{"data":"hunter2"}`), false, nil)
	if r := Refused(err); r == nil || r.Status != 422 || len(r.Causes) != 1 || r.Causes[0].Field != "data" || strings.Contains(fmt.Sprintf("%v %+v", err, *r), "hunter2") {
		t.Errorf("%v %+v", err, r)
	}
	var wrong struct {
		Data map[string]string `json:"data"`
	}
	if err := c.Get(t.Context(), secret, &wrong); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	if err := c.Apply(t.Context(), Ref{"v1", "ConfigMap", "kube-system", "s"}, []byte(`{}`), false, nil); err == nil || !strings.Contains(err.Error(), "apply ConfigMap kube-system/s: the API server says 422 Invalid: data:") {
		t.Errorf("%v", err)
	}
}

// Lists come in pages.
func TestPages(t *testing.T) {
	root := node(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("limit") == "" {
			t.Error("a list without a limit")
		}
		next := map[string]string{"": "b", "b": "c", "c": ""}[q.Get("continue")]
		fmt.Fprintf(w, `{"metadata":{"resourceVersion":"7","continue":%q},"items":[{"n":%q}]}`, next, q.Get("continue"))
	})
	c, err := New(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	version, err := c.List(t.Context(), Ref{APIVersion: "v1", Kind: "Node"}, Selection{}, func(o json.RawMessage) error {
		got = append(got, string(o))
		return nil
	})
	if err != nil || version != "7" || strings.Join(got, "") != `{"n":""}{"n":"b"}{"n":"c"}` {
		t.Errorf("%s %v %v", version, got, err)
	}
}
