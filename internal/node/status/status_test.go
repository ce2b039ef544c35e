package status

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/testtool/machine"
)

const file = `{name: a, platform: {provider: metal}, network: {mesh: none}, endpoint: {mode: local},
	roles: {master: {count: 1, reserve: 0}, worker: {count: 1, reserve: 0}}}`

// ask is one caller, with or without a certificate.
func ask(t *testing.T, c machine.Cluster, address, method, path string, own *tls.Certificate) (*http.Response, error) {
	t.Helper()
	ca, err := c.Store.Authority("kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	// The name is that of the leaf: a test listens on another address than the node's.
	config := &tls.Config{RootCAs: pool, ServerName: "master-1", MaxVersion: tls.VersionTLS13}
	if own != nil {
		config.Certificates = []tls.Certificate{*own}
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(t.Context(), method, "https://"+address+":9440"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(req)
}

// serve runs the status of master-1 on a loopback address of its own until the test ends.
func serve(t *testing.T, c machine.Cluster, address string) (root string) {
	t.Helper()
	node, ok := c.Plan.Node("master-1")
	if !ok {
		t.Fatal("no master-1")
	}
	root = c.Root(t, "master-1", `"address": "`+node.Address+`"`, `"address": "`+address+`"`)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{Root: root, Report: &step.Log{Root: root, Stderr: io.Discard, Now: time.Now}, Version: "v1.2.3"})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return root
}

func pair(t *testing.T, cert, key []byte, err error) *tls.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	p, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

// leafOf is a leaf that a node carries.
func leafOf(t *testing.T, c machine.Cluster, id string) *tls.Certificate {
	t.Helper()
	cert, err := c.Store.Certificate(id)
	if err != nil {
		t.Fatal(err)
	}
	key, err := c.Store.PrivateKey(id)
	return pair(t, cert, key, err)
}

// person is who holds a kubeconfig leaf of the group.
func person(t *testing.T, c machine.Cluster, group string) *tls.Certificate {
	cert, key, err := c.Store.KubeconfigLeaf("ana", group, time.Hour)
	return pair(t, cert, key, err)
}

// Who is let in is decided by real handshakes against the real leaf.
func TestOnlyOperatorsRead(t *testing.T) {
	c, other := machine.New(t, file), machine.New(t, file)
	const address = "127.94.40.1"
	serve(t, c, address)
	operator := person(t, c, "kubeadm:cluster-admins")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if r, err := ask(t, c, address, "GET", "/", operator); err == nil {
			r.Body.Close()
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	for name, caller := range map[string]struct {
		cert   *tls.Certificate
		method string
		path   string
		status int // 0: no handshake
	}{
		"no certificate":          {nil, "GET", "/status.json", 0},
		"another authority":       {person(t, other, "kubeadm:cluster-admins"), "GET", "/status.json", 0},
		"etcd's authority":        {leafOf(t, c, "master-1/etcd-healthcheck-client"), "GET", "/status.json", 0},
		"a serving leaf":          {leafOf(t, c, "master-1/apiserver"), "GET", "/status.json", 0},
		"another group":           {person(t, c, "imgforge:readers"), "GET", "/status.json", 403},
		"a worker's kubelet":      {leafOf(t, c, "worker-1/kubelet"), "GET", "/status.json", 403},
		"the kubelet of the node": {leafOf(t, c, "master-1/kubelet"), "GET", "/", 403},
		"the API server's client": {leafOf(t, c, "master-1/apiserver-kubelet-client"), "GET", "/", 403},
		"an operator":             {operator, "GET", "/status.json", 200},
		"the doctor":              {person(t, c, artifact.StatusReaders), "GET", "/status.json", 200},
		"an operator, for people": {operator, "GET", "/", 200},
		"an operator, head":       {operator, "HEAD", "/status.json", 200},
		"the admin leaf":          {leafOf(t, c, "master-1/admin"), "GET", "/status.json", 200},
		"a method that writes":    {operator, "POST", "/status.json", 405},
		"another path":            {operator, "GET", "/etc/kubernetes/pki/ca.key", 404},
		"a forbidden method":      {leafOf(t, c, "worker-1/kubelet"), "DELETE", "/", 403},
	} {
		r, err := ask(t, c, address, caller.method, caller.path, caller.cert)
		switch {
		case caller.status == 0 && err == nil:
			t.Errorf("%s: %v, want a refused handshake", name, err)
		case caller.status != 0 && (err != nil || r.StatusCode != caller.status || r.TLS.Version != tls.VersionTLS13):
			t.Errorf("%s: %+v (%v), want %d", name, r, err, caller.status)
		}
		if err == nil {
			r.Body.Close()
		}
	}
}

// What is shown is what the steps said, what keepalived told and what the leaves are.
func TestStatusShowsTheNode(t *testing.T) {
	c := machine.New(t, file)
	const address = "127.94.40.2"
	root := serve(t, c, address)
	log := &step.Log{Root: root, Stderr: io.Discard, Now: time.Now}
	log.Done(step.Claim, "this is master-1")
	log.Failed(bootcode.Fail(bootcode.EtcdNoQuorum, "no answer from master-2"))
	machine.Write(t, root, "/run/imgforge/vrrp/imgforge.json", `{"type":"INSTANCE","name":"imgforge","state":"MASTER","priority":150}`, 0o644)
	machine.Write(t, root, "/run/imgforge/vrrp/.staged", `{`, 0o644)
	machine.Write(t, root, "/proc/1/stat", "1 (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 250 1 1\n", 0o644)
	machine.Write(t, root, "/proc/stat", "cpu 1 2 3\nbtime 1800000000\n", 0o644)
	operator := person(t, c, "kubeadm:cluster-admins")
	read := func(path string) string {
		var text string
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			r, err := ask(t, c, address, "GET", path, operator)
			if err == nil {
				defer r.Body.Close()
				data, err := io.ReadAll(r.Body)
				if text = string(data); err != nil {
					t.Fatal(err)
				}
				return text
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	s, err := artifact.ParseStatusFile([]byte(read(artifact.StatusPath)))
	if err != nil {
		t.Fatal(err)
	}
	if s.Cluster != "a" || s.Node != "master-1" || s.Role != "master" || s.Slot != 1 || s.Address != address || s.Helper != "v1.2.3" || s.Kubernetes != c.Plan.Kubernetes.Version {
		t.Errorf("%+v", s)
	}
	if !s.Boot.Equal(time.Unix(1800000002, 0)) {
		t.Errorf("started %s", s.Boot)
	}
	if len(s.Steps) != 2 || s.Steps[1].State != step.Warning || !slices.Equal(s.Codes, []int{503}) || len(s.VRRP) != 1 || s.VRRP[0].State != "MASTER" {
		t.Errorf("%+v", s)
	}
	if len(s.Leaves) < 15 || s.LatestBoot.Before(time.Now().AddDate(0, 10, 0)) || s.Unread != nil {
		t.Errorf("%+v", s)
	}
	people := read(artifact.StatusTextPath)
	for _, want := range []string{"master-1, master 1 of cluster a", "claim         done", "why:    no answer from master-2", "vrrp          instance imgforge is MASTER", "can boot until 20", "/etc/kubernetes/pki/etcd/peer.crt"} {
		if !strings.Contains(people, want) {
			t.Errorf("%q is missing:\n%s", want, people)
		}
	}
	if strings.Contains(people, "PRIVATE") {
		t.Error("a key is shown")
	}
	if err := os.WriteFile(filepath.Join(root, "/run/imgforge/vrrp/imgforge.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(root, "/etc/kubernetes/pki/admin.crt")); err != nil {
		t.Fatal(err)
	}
	if people := read(artifact.StatusTextPath); !strings.Contains(people, "not known: /run/imgforge/vrrp/imgforge.json: ") || !strings.Contains(people, "not known: /etc/kubernetes/pki/admin.crt: ") {
		t.Errorf("what cannot be read is not said:\n%s", people)
	}
}

// A listener waits for the node's address and stops waiting with its context.
func TestListenWaits(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if l, err := listen(ctx, "192.0.2.1:9440"); l != nil || err != nil {
		t.Errorf("%v %v", l, err)
	}
	if _, err := listen(t.Context(), "192.0.2.1:no-port"); err == nil {
		t.Error("a port that is none")
	}
}

// Without what it needs it ends and says what is missing. A leaf's code is the
// watch's, a damaged identity has its own.
func TestRunWithoutItsFiles(t *testing.T) {
	root := machine.New(t, file).Root(t, "worker-1")
	for _, c := range []struct {
		path string
		code int
	}{{"/etc/imgforge/pki/status.key", 0}, {artifact.NodeFilePath, bootcode.NodeUnread}} {
		if err := os.Remove(filepath.Join(root, c.path)); err != nil {
			t.Fatal(err)
		}
		err := Run(t.Context(), Options{Root: root})
		if err == nil || !strings.Contains(err.Error(), filepath.Base(c.path)) {
			t.Errorf("without %s: %v", c.path, err)
		}
		var f *bootcode.Failure
		if errors.As(err, &f) != (c.code != 0) || f != nil && f.Code.Number != c.code {
			t.Errorf("without %s: %v", c.path, err)
		}
	}
}
