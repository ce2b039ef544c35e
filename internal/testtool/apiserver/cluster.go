package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/testtool"
)

// Cluster is a control plane at work.
type Cluster struct {
	Root string // of its master
	t    testing.TB
	port int
	etcd int
	log  string
	stop func() // of the API server
}

// Start runs etcd and the API server of an example's first master, and ends them
// with the test. It does not wait: see [Cluster.Wait].
func Start(t testing.TB, example string) *Cluster {
	t.Helper()
	c := &Cluster{Root: t.TempDir(), t: t, log: t.TempDir()}
	etcd, server := testtool.Path(t, "etcd"), testtool.Path(t, "kube-apiserver")
	master(t, example, c.Root)
	ports := freePorts(t, 3)
	c.etcd, c.port = ports[0], ports[2]
	move(t, c.Root, c.port)
	pki := filepath.Join(c.Root, "etc/kubernetes/pki/etcd")
	client, peer := fmt.Sprintf("https://127.0.0.1:%d", ports[0]), fmt.Sprintf("https://127.0.0.1:%d", ports[1])
	c.run("etcd", etcd, "--name=master-1", "--data-dir="+t.TempDir(),
		"--listen-client-urls="+client, "--advertise-client-urls="+client, "--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer,
		"--initial-cluster=master-1="+peer, "--cert-file="+pki+"/server.crt", "--key-file="+pki+"/server.key", "--trusted-ca-file="+pki+"/ca.crt",
		"--client-cert-auth=true", "--peer-cert-file="+pki+"/peer.crt", "--peer-key-file="+pki+"/peer.key", "--peer-trusted-ca-file="+pki+"/ca.crt",
		"--unsafe-no-fsync=true", "--log-level=warn")
	c.server(server)
	return c
}

// server runs the API server.
func (c *Cluster) server(path string) {
	audit := filepath.Join(c.Root, "var/log/kubernetes/audit")
	if err := os.MkdirAll(audit, 0o700); err != nil {
		c.t.Fatal(err)
	}
	c.stop = c.run("kube-apiserver", path, flags(c.t, c.Root, "kube-apiserver", map[string]string{
		"etcd-servers": fmt.Sprintf("https://127.0.0.1:%d", c.etcd), "bind-address": "127.0.0.1", "secure-port": fmt.Sprint(c.port)})...)
}

// Restart ends the API server and runs it again.
func (c *Cluster) Restart() {
	c.t.Helper()
	c.stop()
	c.server(testtool.Path(c.t, "kube-apiserver"))
}

// Controllers runs the controller manager too, for what signs.
func (c *Cluster) Controllers() {
	c.t.Helper()
	port := freePorts(c.t, 1)[0]
	c.run("kube-controller-manager", testtool.Path(c.t, "kube-controller-manager"), flags(c.t, c.Root, "kube-controller-manager",
		map[string]string{"secure-port": fmt.Sprint(port), "leader-elect": "false"})...)
}

// run starts a program that the end of the test ends, and the end of this process too.
func (c *Cluster) run(name, path string, args ...string) (stop func()) {
	c.t.Helper()
	log, err := os.OpenFile(filepath.Join(c.log, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()         // a child with Pdeathsig ends with the thread that started it
		defer runtime.UnlockOSThread() // a thread that ends would take children of others along
		defer close(ended)
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		c.t.Fatal(err)
	}
	stop = func() {
		cmd.Process.Kill()
		<-ended
	}
	c.t.Cleanup(func() {
		stop()
		if data, err := os.ReadFile(log.Name()); err == nil && c.t.Failed() {
			c.t.Logf("the end of %s's log:\n%s", name, data[max(0, len(data)-4000):])
		}
	})
	return stop
}

// Wait waits until the API server is ready.
func (c *Cluster) Wait() {
	c.t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if status, _, err := c.Admin().Do(http.MethodGet, "/readyz", ""); err == nil && status == http.StatusOK {
			return
		}
	}
	c.t.Fatal("the API server does not become ready")
}

// Caller is somebody who asks the API server.
type Caller struct {
	c      *Cluster
	http   *http.Client
	header http.Header
}

// Admin asks with the leaf that applies add-ons.
func (c *Cluster) Admin() *Caller { return c.Leaf("admin") }

// Leaf asks with a leaf of the master.
func (c *Cluster) Leaf(name string) *Caller {
	c.t.Helper()
	pki := filepath.Join(c.Root, "etc/kubernetes/pki")
	leaf, err := tls.LoadX509KeyPair(filepath.Join(pki, name+".crt"), filepath.Join(pki, name+".key"))
	if err != nil {
		c.t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		c.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &Caller{c: c, header: http.Header{}, http: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{leaf}}, DisableKeepAlives: true}}}
}

// As asks in the name of somebody else.
func (a *Caller) As(user string, groups ...string) *Caller {
	header := http.Header{"Impersonate-User": {user}, "Impersonate-Group": groups}
	return &Caller{c: a.c, http: a.http, header: header}
}

// Do asks. A PATCH is a merge patch.
func (a *Caller) Do(method, path, body string) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(context.Background(), method, fmt.Sprintf("https://127.0.0.1:%d%s", a.c.port, path), strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header = a.header.Clone()
	req.Header.Set("Content-Type", map[bool]string{true: "application/merge-patch+json", false: "application/json"}[method == http.MethodPatch])
	resp, err := a.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// Must asks and fails the test when the answer is a no.
func (a *Caller) Must(t testing.TB, method, path, body string) []byte {
	t.Helper()
	status, answer, err := a.Do(method, path, body)
	if err == nil && status >= 300 {
		err = errors.New(string(answer))
	}
	if err != nil {
		t.Fatalf("%s %s: %d %v", method, path, status, err)
	}
	return answer
}
