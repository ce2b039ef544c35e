package profiles

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// TestHAProxyIsAccepted asks haproxy itself about every role that runs it.
func TestHAProxyIsAccepted(t *testing.T) {
	haproxy := testtool.Path(t, "haproxy")
	ca := newAuthority(t)
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		if _, runs := newHAProxy(p, role); !runs {
			return
		}
		conf := rebase(contents(t, nodeDocument(t, p, p.NodesOf(role)[0].Name), haproxyDir+"/haproxy.cfg"), ca.path)
		out, err := exec.Command(haproxy, "-c", "-f", scratch(t, "haproxy.cfg", conf)).CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("WARNING")) {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// TestWhoRunsHAProxy pins where the endpoint is served, and to whom.
func TestWhoRunsHAProxy(t *testing.T) {
	const vip, local = `{name: a, platform: {provider: scaleway}, %s roles: {master: {count: 3}, proxy: {count: 1}, worker: {count: 1}}}`,
		`{name: a, platform: {provider: scaleway}, endpoint: {mode: local %s}, roles: {master: {count: 3}, worker: {count: 1}}}`
	for _, c := range []struct{ file, role, bind string }{
		{fmt.Sprintf(vip, ""), "master", "*:6443"},
		{fmt.Sprintf(vip, ""), "proxy", ""},
		{fmt.Sprintf(vip, ""), "worker", ""},
		{fmt.Sprintf(vip, "endpoint: {access: [198.51.100.0/24]},"), "proxy", "*:6443"},
		{fmt.Sprintf(local, ""), "master", "127.0.0.1:6443"},
		{fmt.Sprintf(local, ""), "worker", "127.0.0.1:6443"},
		{fmt.Sprintf(local, ", access: [198.51.100.0/24]"), "master", "*:6443"},
		{fmt.Sprintf(local, ", access: [198.51.100.0/24]"), "worker", "127.0.0.1:6443"},
	} {
		conf, _ := newHAProxy(planOf(t, c.file, plan.Facts{}), c.role)
		bind := ""
		if conf.API != nil {
			bind = conf.API.Bind
		}
		if bind != c.bind {
			t.Errorf("%s: bound to %q, want %q, in %s", c.role, bind, c.bind, c.file)
		}
	}
}

// TestCheckEvery: the checks that arrive at one place stay bounded.
func TestCheckEvery(t *testing.T) {
	for checkers, want := range map[int]string{0: "2s", 5: "2s", 100: "2s", 149: "2s", 150: "3s", 1000: "20s"} {
		if got := checkEvery(checkers); got != want {
			t.Errorf("%d: every %s, want %s", checkers, got, want)
		}
	}
}

// TestHAProxyServes runs a proxy's haproxy as rendered, in front of API servers
// that deserve trust or do not, and before and after there is an ingress.
func TestHAProxyServes(t *testing.T) {
	haproxy, ns := testtool.Path(t, "haproxy"), newNamespace(t, "haproxy")
	for i := 11; i <= 61; i++ {
		ns.ip(t, fmt.Sprintf("address add 192.168.66.%d/32 dev lo", i))
	}
	ca, stranger := newAuthority(t), newAuthority(t)
	serveAPI(t, ns, "192.168.66.11", "ready", ca.leaf(t, "kubernetes"), http.StatusOK)
	serveAPI(t, ns, "192.168.66.12", "not ready", ca.leaf(t, "kubernetes"), http.StatusInternalServerError)
	serveAPI(t, ns, "192.168.66.13", "of another authority", stranger.leaf(t, "kubernetes"), http.StatusOK)
	serveAPI(t, ns, "192.168.66.14", "of another service", ca.leaf(t, "worker-1"), http.StatusOK)
	conf := rebase(contents(t, nodeDocument(t, example(t, "scaleway-ha"), "proxy-1"), haproxyDir+"/haproxy.cfg"), ca.path)
	cmd := ns.command(haproxy, "-db", "-f", scratch(t, "haproxy.cfg", conf))
	logs, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = logs, logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	web := client(ns)
	eventually(t, "haproxy is alive", func() bool { status, _ := get(web, "http://127.0.0.1:8404/healthz"); return status == 200 })
	eventually(t, "only the trusted, ready API server is left", func() bool {
		text, _ := os.ReadFile(logs.Name())
		return bytes.Contains(text, []byte("apiserver/master-2 is DOWN")) && bytes.Contains(text, []byte("apiserver/master-3 is DOWN")) &&
			bytes.Contains(text, []byte("apiserver/master-4 is DOWN")) && bytes.Contains(text, []byte("apiserver/master-5 is DOWN"))
	})
	for range 5 {
		if status, body := get(web, "https://127.0.0.1:6443/"); status != 200 || body != "ready" {
			t.Errorf("the endpoint answers %d %q", status, body)
		}
	}
	eventually(t, "a missing ingress is told in words", func() bool {
		status, body := get(web, "http://127.0.0.1/")
		return status == 503 && strings.HasPrefix(body, "No ingress controller")
	})
	serveIngress(t, ns, "192.168.66.53:30080")
	eventually(t, "the ingress sees who asks", func() bool {
		status, body := get(web, "http://127.0.0.1/")
		return status == 200 && body == "PROXY 127.0.0.1"
	})
	if t.Failed() {
		text, _ := os.ReadFile(logs.Name())
		t.Logf("%s", text)
	}
}

// rebase puts a test's authority in the place of the node's.
func rebase(conf, ca string) string { return strings.ReplaceAll(conf, caPath, ca) }

// eventually waits for what a real program does in its own time.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Errorf("never: %s", what)
}

// authority signs the leaves of one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	path string // of its certificate, readable by everybody
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(time.Hour)}
	key, der := sign(t, template, nil)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return &authority{cert, key, scratch(t, "ca.crt", string(text))}
}

func (a *authority) leaf(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, der := sign(t, &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}, a)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func sign(t *testing.T, template *x509.Certificate, by *authority) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return key, der
}

// serveAPI stands in for an API server that says its own name.
func serveAPI(t *testing.T, ns namespace, address, name string, cert tls.Certificate, ready int) {
	t.Helper()
	serve(t, ns, address+":8443", func(l net.Listener) net.Listener {
		return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})
	}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			w.WriteHeader(ready)
			return
		}
		io.WriteString(w, name)
	})
}

// serveIngress stands in for an ingress controller that speaks PROXY protocol
// version 2 and answers with the address it was told.
func serveIngress(t *testing.T, ns namespace, address string) {
	t.Helper()
	serve(t, ns, address, func(l net.Listener) net.Listener { return proxied{l} },
		func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "PROXY "+r.RemoteAddr) })
}

func serve(t *testing.T, ns namespace, address string, wrap func(net.Listener) net.Listener, handler http.HandlerFunc) {
	t.Helper()
	var l net.Listener
	if err := ns.do(func() (err error) { l, err = net.Listen("tcp4", address); return err }); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	t.Cleanup(func() { server.Close() })
	go server.Serve(wrap(l))
}

// proxied reads the header that precedes every connection.
type proxied struct{ net.Listener }

func (p proxied) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &proxiedConn{Conn: c}, nil
}

type proxiedConn struct {
	net.Conn
	source string
}

func (c *proxiedConn) RemoteAddr() net.Addr { return told(c.header()) }

// header reads the 12 bytes of signature, version and command, family, length
// and, for TCP over IPv4, the source address, once.
func (c *proxiedConn) header() string {
	if c.source != "" {
		return c.source
	}
	c.source = "nobody"
	head := make([]byte, 16)
	if _, err := io.ReadFull(c.Conn, head); err != nil || string(head[:12]) != "\r\n\r\n\x00\r\nQUIT\n" {
		return c.source
	}
	rest := make([]byte, int(head[14])<<8|int(head[15]))
	if _, err := io.ReadFull(c.Conn, rest); err == nil && head[13] == 0x11 {
		c.source = net.IP(rest[:4]).String()
	}
	return c.source
}

func (c *proxiedConn) Read(b []byte) (int, error) {
	c.header()
	return c.Conn.Read(b)
}

type told string

func (told) Network() string  { return "tcp" }
func (a told) String() string { return string(a) }

// client asks from inside a namespace, on a connection of its own each time.
func client(ns namespace) *http.Client {
	dial := func(_ context.Context, network, address string) (c net.Conn, err error) {
		err = ns.do(func() error { c, err = net.DialTimeout(network, address, 2*time.Second); return err })
		return c, err
	}
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext: dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // haproxy is who must verify
	}}
}

func get(c *http.Client, url string) (status int, body string) {
	r, err := c.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err.Error()
	}
	return r.StatusCode, string(text)
}
