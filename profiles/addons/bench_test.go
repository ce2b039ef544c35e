//go:build lab

package addons

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool"
)

const (
	nodeName = "worker-1"
	nodeIP   = "192.168.66.11"
)

// bench is one node's network with an API server in it that holds the add-ons.
type bench struct {
	t      *testing.T
	ns     string
	dir    string // keys and kubeconfig
	facts  Facts
	addons []Addon
}

func newBench(t *testing.T, c artifact.ClusterFile) *bench {
	t.Helper()
	testtool.Root(t)
	b := &bench{t: t, ns: fmt.Sprintf("imgforge-%d-addons", os.Getpid()), dir: t.TempDir()}
	b.run("ip", "netns", "add", b.ns)
	t.Cleanup(func() { b.run("ip", "netns", "del", b.ns) })
	for _, words := range []string{"link set lo up", "link add mesh0 mtu 1396 type veth peer name cable", "link set mesh0 up", "link set cable up",
		"addr add " + nodeIP + "/24 dev mesh0", "route add default via 192.168.66.1"} {
		b.run("ip", append([]string{"-n", b.ns}, strings.Fields(words)...)...)
	}
	b.makeKeys()
	b.startAPI()
	b.until("the API server is ready", func() error {
		out, err := b.kubectl("", "get", "--raw", "/readyz")
		return holds(out, err, "ok")
	})
	b.apply(c)
	return b
}

func (b *bench) startAPI() {
	key := func(name string) string { return filepath.Join(b.dir, name) }
	b.spawn(b.in(testtool.Path(b.t, "etcd"), "--data-dir", b.t.TempDir(), "--log-level=error", "--unsafe-no-fsync"))
	b.spawn(b.in(testtool.Path(b.t, "kube-apiserver"),
		"--etcd-servers=http://127.0.0.1:2379", "--bind-address=0.0.0.0", "--advertise-address="+nodeIP, "--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=Node,RBAC", "--allow-privileged", "--client-ca-file="+key("ca.crt"), "--cert-dir="+b.dir,
		"--tls-cert-file="+key("server.crt"), "--tls-private-key-file="+key("server.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+key("server.key"), "--service-account-signing-key-file="+key("server.key"),
		"--requestheader-client-ca-file="+key("front.crt"), "--requestheader-allowed-names=front", "--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+key("front.crt"), "--proxy-client-key-file="+key("front.key")))
	config := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"a","contexts":[{"name":"a","context":{"cluster":"a","user":"a"}}],
"clusters":[{"name":"a","cluster":{"server":"https://127.0.0.1:6443","certificate-authority":%q}}],
"users":[{"name":"a","user":{"client-certificate":%q,"client-key":%q}}]}`, key("ca.crt"), key("admin.crt"), key("admin.key"))
	if err := os.WriteFile(key("kubeconfig"), []byte(config), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// makeKeys issues what the API server and metrics-server need. Certificates that
// sign themselves are their own authority.
func (b *bench) makeKeys() {
	ca, caKey, _, _ := b.issue("ca", pkix.Name{CommonName: "ca"}, nil, nil, nil)
	b.issue("server", pkix.Name{CommonName: "kube-apiserver"}, []string{"kubernetes.default.svc", nodeIP, "127.0.0.1", "10.96.0.1"}, ca, caKey)
	b.issue("admin", pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, nil, ca, caKey)
	b.issue("front", pkix.Name{CommonName: "front"}, nil, nil, nil)
	_, _, cert, key := b.issue("metrics", pkix.Name{CommonName: "metrics-server"}, []string{"metrics-server.kube-system.svc"}, nil, nil)
	b.facts = Facts{KubeletCA: cert, MetricsCert: cert, MetricsKey: key}
}

func (b *bench) issue(name string, subject pkix.Name, hosts []string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, []byte, []byte) {
	b.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, h)
		}
	}
	if ca == nil {
		ca, caKey = cert, key
		cert.IsCA, cert.BasicConstraintsValid, cert.KeyUsage = true, true, cert.KeyUsage|x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, ca, &key.PublicKey, caKey)
	if err != nil {
		b.t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		b.t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})
	for file, text := range map[string][]byte{name + ".crt": certPEM, name + ".key": keyPEM} {
		if err := os.WriteFile(filepath.Join(b.dir, file), text, 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		b.t.Fatal(err)
	}
	return made, key, certPEM, keyPEM
}

func (b *bench) run(program string, args ...string) {
	b.t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		b.t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}

// in is a program that will run in the node's network.
func (b *bench) in(program string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", b.ns, program}, args...)...)
}

// do runs f on a thread in the node's network.
func (b *bench) do(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		result <- func() error {
			handle, err := os.Open("/run/netns/" + b.ns)
			if err != nil {
				return err
			}
			defer handle.Close()
			if err := unix.Setns(int(handle.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		}()
	}()
	return <-result
}

func (b *bench) kubectl(stdin string, args ...string) (string, error) {
	cmd := b.in(testtool.Path(b.t, "kubectl"), append([]string{"--kubeconfig=" + filepath.Join(b.dir, "kubeconfig")}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (b *bench) must(stdin string, args ...string) string {
	b.t.Helper()
	out, err := b.kubectl(stdin, args...)
	if err != nil {
		b.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// until tries for a minute. The time that it took is in the log.
func (b *bench) until(what string, ready func() error) {
	b.t.Helper()
	start := time.Now()
	for {
		err := ready()
		if err == nil {
			b.t.Logf("%s after %.1f s", what, time.Since(start).Seconds())
			return
		}
		if time.Since(start) > time.Minute {
			b.t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
