package etcd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
)

// lab is a few masters on loopback addresses, each a folder, with etcd run by a
// stand-in for the kubelet: it runs what the manifest says, for as long as it says.
type lab struct {
	t       *testing.T
	program string // etcd
	ca      *authority
	names   []string
	nodes   map[string]*master
	founded bool
	restore string
	abandon string
	// founders is how many of the first masters found.
	founders int
}

type master struct {
	lab     *lab
	name    string
	slot    int
	address string
	root    string

	stop  context.CancelFunc // helper and kubelet
	done  sync.WaitGroup
	mu    sync.Mutex
	codes []int
	texts []string
	fault func(string) error // for the next boot
	ended error
	// deaf is a kubelet that has reached no API server: it ends no pod.
	deaf bool
}

func newLab(t *testing.T, program string, count, founders int) *lab {
	t.Helper()
	l := &lab{t: t, program: program, ca: newAuthority(t), nodes: map[string]*master{}, founders: founders}
	// Packages are tested at the same time: each lab has a loopback network of its own.
	network := fmt.Sprintf("127.%d.%d", 16+mrand.IntN(200), mrand.IntN(250))
	for i := range count {
		m := &master{lab: l, name: fmt.Sprintf("master-%d", i+1), slot: i + 1, address: fmt.Sprintf("%s.%d", network, i+1)}
		l.names = append(l.names, m.name)
		l.nodes[m.name] = m
	}
	for _, m := range l.nodes {
		m.wipe()
		t.Cleanup(m.halt)
	}
	return l
}

func (l *lab) node(i int) *master { return l.nodes[l.names[i-1]] }

// wipe gives the machine a new disk with its payload on it.
func (m *master) wipe() {
	t := m.lab.t
	t.Helper()
	m.root = t.TempDir()
	for _, dir := range []string{"/etc/imgforge/etcd", "/etc/kubernetes/manifests", pkiPath, dataPath} {
		if err := os.MkdirAll(filepath.Join(m.root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m.put(clusterPath, m.clusterFile(), nil)
	me, err := artifact.EncodeNodeFile(artifact.NodeFile{Cluster: "nostromo", Node: m.name, Role: "master", Slot: m.slot, Address: m.address})
	m.put(artifact.NodeFilePath, me, err)
	m.put(stagedPath, m.staged(), nil)
	m.put("/etc/kubernetes/encryption.yaml", []byte("      - name: key1\n        secret: \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"\n"), nil)
	m.put(pkiPath+"/ca.crt", m.lab.ca.pem, nil)
	for _, leaf := range []string{"server", "peer", "healthcheck-client"} {
		cert, key := m.lab.ca.issue(t, leaf, m.address)
		m.put(pkiPath+"/"+leaf+".crt", cert, nil)
		m.put(pkiPath+"/"+leaf+".key", key, nil)
	}
}

func (m *master) clusterFile() []byte {
	m.lab.t.Helper()
	c := artifact.ClusterFile{Cluster: "nostromo", Role: "master",
		Etcd: artifact.ClusterEtcd{Token: "token-of-nostromo", Founded: m.lab.founded, RestoreFrom: m.lab.restore, Abandon: m.lab.abandon}}
	for i, name := range m.lab.names {
		c.Nodes = append(c.Nodes, artifact.ClusterNode{Name: name, Role: "master", Slot: i + 1, Address: m.lab.nodes[name].address})
		if i < m.lab.founders {
			c.Etcd.Founders = append(c.Etcd.Founders, name)
		}
		if m.lab.restore != "" {
			c.Etcd.Masters = append(c.Etcd.Masters, name)
		}
	}
	data, err := artifact.EncodeClusterFile(c)
	if err != nil {
		m.lab.t.Fatal(err)
	}
	return data
}

func (m *master) put(path string, data []byte, err error) {
	m.lab.t.Helper()
	if err == nil {
		err = os.WriteFile(filepath.Join(m.root, path), data, 0o600)
	}
	if err != nil {
		m.lab.t.Fatal(err)
	}
}

// staged is the manifest as the payload stages it. The paths are those below the
// machine's root; everything else is what a node has.
func (m *master) staged() []byte {
	pki := filepath.Join(m.root, pkiPath)
	args := []string{"etcd", "--name=" + m.name, "--data-dir=" + filepath.Join(m.root, dataPath),
		"--listen-client-urls=https://" + m.address + ":2379", "--advertise-client-urls=https://" + m.address + ":2379",
		"--listen-peer-urls=https://" + m.address + ":2380", "--initial-advertise-peer-urls=https://" + m.address + ":2380",
		placeCluster, placeState, "--initial-cluster-token=token-of-nostromo",
		"--cert-file=" + pki + "/server.crt", "--key-file=" + pki + "/server.key", "--trusted-ca-file=" + pki + "/ca.crt", "--client-cert-auth=true",
		"--peer-cert-file=" + pki + "/peer.crt", "--peer-key-file=" + pki + "/peer.key", "--peer-trusted-ca-file=" + pki + "/ca.crt", "--peer-client-cert-auth=true",
		"--snapshot-count=10000", "--feature-gates=InitialCorruptCheck=true", "--log-level=warn"}
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - command:\n")
	for _, a := range args {
		fmt.Fprintf(&b, "    - %q\n", a)
	}
	return []byte(b.String())
}

// boot starts the machine: the guard, then the kubelet, then the helper.
func (m *master) boot() {
	t := m.lab.t
	t.Helper()
	o := Options{Root: m.root, Pace: 100 * time.Millisecond, Rest: time.Second, Timeout: 2 * time.Second, Grace: 1, Report: m}
	if err := Guard(o); err != nil {
		t.Fatal(err)
	}
	n, err := load(o)
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	m.codes, m.texts, m.ended = nil, nil, nil
	if m.fault != nil {
		n.fault, m.fault = m.fault, nil
	}
	m.mu.Unlock()
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.done.Go(func() { m.kubelet(ctx) })
	m.done.Go(func() {
		err := n.run(ctx)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.ended = err
	})
}

// halt cuts the power.
func (m *master) halt() {
	if m.stop != nil {
		m.stop()
		m.done.Wait()
		m.stop = nil
	}
}

func (m *master) note(code int, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.codes, m.texts = append(m.codes, code), append(m.texts, text)
}

// A master under test takes word itself.
func (m *master) Failed(f *bootcode.Failure) { m.note(f.Code.Number, f.Error()) }
func (m *master) Waiting(_, what string)     { m.note(0, what) }
func (m *master) Done(_, what string)        { m.note(0, what) }

var argument = regexp.MustCompile(`(?m)^    - "(.*)"$`)

// kubelet runs the manifest's command, again when it ends, and another when the
// manifest changes. It ends it with the machine, without a warning.
func (m *master) kubelet(ctx context.Context) {
	var running *exec.Cmd
	var manifest []byte
	ended := make(chan *exec.Cmd, 8)
	kill := func() {
		if running != nil {
			running.Process.Kill()
			<-ended
			running = nil
		}
	}
	defer kill()
	log, err := os.OpenFile(filepath.Join(m.root, "etcd.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		m.lab.t.Error(err)
		return
	}
	defer log.Close()
	for {
		now, _ := os.ReadFile(filepath.Join(m.root, manifestPath))
		if !bytes.Equal(now, manifest) {
			if !m.deaf {
				kill()
			}
			manifest = now
		}
		if running == nil && len(manifest) > 0 {
			var args []string
			for _, a := range argument.FindAllStringSubmatch(string(manifest), -1) {
				args = append(args, a[1])
			}
			cmd := exec.Command(m.lab.program, args[1:]...)
			cmd.Args[0] = args[0]
			cmd.Stderr = log
			if err := cmd.Start(); err != nil {
				m.lab.t.Error(err)
				return
			}
			running = cmd
			go func() { cmd.Wait(); ended <- cmd }()
		}
		select {
		case <-ctx.Done():
			return
		case <-ended:
			running = nil
		case <-time.After(50 * time.Millisecond):
		}
		if running == nil {
			time.Sleep(300 * time.Millisecond) // a kubelet's back-off, shortened
		}
	}
}

// until waits for a condition, and tells what everybody reported when it never comes.
func (l *lab) until(what string, met func() bool) {
	l.t.Helper()
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if met() {
			return
		}
	}
	for _, name := range l.names {
		m := l.nodes[name]
		m.mu.Lock()
		l.t.Logf("%s (%v):\n%s", name, m.ended, strings.Join(m.texts, "\n"))
		m.mu.Unlock()
		if log, err := os.ReadFile(filepath.Join(m.root, "etcd.log")); err == nil {
			l.t.Logf("%s: %s", name, log[max(0, len(log)-3000):])
		}
	}
	l.t.Fatalf("never: %s", what)
}

// reports tells whether the last report of a machine has this code.
func (m *master) reports(code int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.codes) > 0 && m.codes[len(m.codes)-1] == code
}

func (m *master) settled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.texts) > 0 && strings.Contains(m.texts[len(m.texts)-1], "is a voter of cluster")
}

func (m *master) did(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Contains(strings.Join(m.texts, "\n"), text)
}

// client speaks to the machine's etcd.
func (m *master) client() client {
	n := &node{o: Options{Root: m.root}}
	_, config, err := n.credentials()
	if err != nil {
		m.lab.t.Fatal(err)
	}
	return client{http: newHTTP(config, 3*time.Second), timeout: 3 * time.Second}
}

func (m *master) members() []Entry {
	_, list, err := m.client().members(context.Background(), clientURL(m.address), true)
	if err != nil {
		return nil
	}
	return list
}

// voters counts the members with a vote, as this machine's etcd has it.
func (m *master) voters() (n int) {
	for _, e := range m.members() {
		if !e.Learner && e.Started {
			n++
		}
	}
	return n
}

type keyValue struct {
	Key   []byte `json:"key"`
	Value []byte `json:"value,omitempty"`
}

func (m *master) write(value string) {
	m.lab.t.Helper()
	if err := m.client().call(context.Background(), clientURL(m.address), "kv/put", keyValue{[]byte("k"), []byte(value)}, &struct{}{}); err != nil {
		m.lab.t.Fatal(err)
	}
}

func (m *master) value() string {
	m.lab.t.Helper()
	var out struct {
		Kvs []keyValue `json:"kvs"`
	}
	if err := m.client().call(context.Background(), clientURL(m.address), "kv/range", keyValue{Key: []byte("k")}, &out); err != nil || len(out.Kvs) != 1 {
		return fmt.Sprint("nothing: ", err)
	}
	return string(out.Kvs[0].Value)
}

// authority signs the leaves of a lab.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	a.key = newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "etcd"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a leaf as the plan asks for it: client leaves serve nobody.
func (a *authority) issue(t testing.TB, name, address string) (cert, key []byte) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(mrand.Int64()), Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if name != "healthcheck-client" {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		// On loopback networks peers dial from 127.0.0.1, and etcd checks that too.
		template.IPAddresses = []net.IP{net.ParseIP(address), net.IPv4(127, 0, 0, 1)}
	}
	own := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, own.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}
