package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
)

func port(t *testing.T, s *httptest.Server) string {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// checkAgainst is the check of a master whose CA is that of one server and whose
// API server and haproxy are two others.
func (m *machine) checkAgainst(ca, apiserver, haproxy *httptest.Server) Check {
	m.t.Helper()
	m.write(caFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate().Raw})))
	n := artifact.NodeFile{Node: "master-1", Endpoint: artifact.NodeEndpoint{Mode: "vip"}}
	if apiserver != nil {
		n.APIServerPort = atoi(m.t, port(m.t, apiserver))
	}
	n.Endpoint.Port = atoi(m.t, port(m.t, haproxy))
	text, err := artifact.EncodeNodeFile(n)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write(artifact.NodeFilePath, string(text))
	return Check{Root: m.root, Config: m.path(artifact.NodeFilePath)}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// apiserver answers /readyz with a status, and nothing else.
func apiserver(t *testing.T, status int) *httptest.Server {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are expected
	t.Cleanup(s.Close)
	return s
}

// silent accepts connections and never answers.
func silent(t *testing.T) *httptest.Server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &httptest.Server{URL: "https://" + l.Addr().String()}
}

func TestCheckEndpoint(t *testing.T) {
	ready, broken, mute := apiserver(t, 200), apiserver(t, 500), silent(t)
	tests := map[string]struct {
		apiserver, haproxy *httptest.Server
		want               error
	}{
		"both":                       {ready, ready, nil},
		"own API server alone":       {ready, broken, nil},
		"haproxy alone":              {broken, ready, nil},
		"haproxy beside a mute one":  {mute, ready, nil},
		"own beside a mute haproxy":  {ready, mute, nil},
		"neither":                    {broken, broken, bootcode.Fail(bootcode.EndpointDown, "")},
		"both mute":                  {mute, mute, bootcode.Fail(bootcode.EndpointDown, "")},
		"a worker's haproxy":         {nil, ready, nil},
		"a worker's haproxy, broken": {nil, broken, bootcode.Fail(bootcode.EndpointDown, "")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("https_proxy", "http://127.0.0.1:1")
			m := newMachine(t, "master-1")
			err := m.checkAgainst(ready, tt.apiserver, tt.haproxy).Endpoint(context.Background())
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// An API server of somebody else's cluster on the port is not ours.
func TestCheckEndpointTrustsOnlyItsOwnAuthority(t *testing.T) {
	ready := apiserver(t, 200)
	m := newMachine(t, "master-1")
	c := m.checkAgainst(ready, ready, ready)
	m.write(caFile, newAuthority(t))
	if err := c.Endpoint(context.Background()); !errors.Is(err, bootcode.Fail(bootcode.EndpointDown, "")) {
		t.Errorf("got %v", err)
	}
	for _, text := range []string{"", "not PEM"} {
		m.write(caFile, text)
		if err := c.Endpoint(context.Background()); !errors.Is(err, bootcode.Fail(bootcode.CheckUnable, "")) {
			t.Errorf("with a CA file of %q: %v", text, err)
		}
	}
	if err := os.Remove(m.path(caFile)); err != nil {
		t.Fatal(err)
	}
	if err := c.Endpoint(context.Background()); !errors.Is(err, bootcode.Fail(bootcode.CheckUnable, "")) {
		t.Errorf("without a CA file: %v", err)
	}
}

// newAuthority is a PEM certificate that signed nothing.
func newAuthority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "other"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestCheckProxy(t *testing.T) {
	for status, want := range map[int]error{200: nil, 503: bootcode.Fail(bootcode.ProxyDown, "")} {
		alive := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/healthz" {
				t.Errorf("asked for %s", r.URL.Path)
			}
			w.WriteHeader(status)
		}))
		m := newMachine(t, "proxy-1")
		c := m.checkAgainst(apiserver(t, 200), nil, alive)
		c.AlivePort = atoi(t, port(t, alive))
		if err := c.Proxy(context.Background()); !errors.Is(err, want) {
			t.Errorf("haproxy says %d: %v, want %v", status, err, want)
		}
		alive.Close()
		if err := c.Proxy(context.Background()); !errors.Is(err, bootcode.Fail(bootcode.ProxyDown, "")) {
			t.Errorf("haproxy is gone: %v", err)
		}
	}
}
