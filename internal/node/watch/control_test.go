package watch

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/testtool/machine"
)

// site is a machine with a node's rendered files, and servers in the places of the
// programs that run on it. What they are asked, and how, is real.
type site struct {
	machine.Cluster
	root string
	o    Options

	mu      sync.Mutex
	answers map[string]string // by server and path: status and body
	stop    map[string]func()
	nodes   http.Handler // what the API server answers to a watch of nodes
}

const readyNode = `200 {"status":{"conditions":[{"type":"MemoryPressure","status":"False"},{"type":"Ready","status":"True","reason":"KubeletReady","message":"ok"}]}}`

// newSite renders a node of a cluster of one master, on loopback.
func newSite(t *testing.T, name string) *site {
	t.Helper()
	s := &site{Cluster: machine.New(t, loneCluster), answers: map[string]string{"api /readyz": "200 ok", "api /api/v1/nodes/" + name: readyNode,
		"kubelet /healthz": "200 ok", "etcd /livez": "200 ok", "manager /healthz": "200 ok", "haproxy /healthz": "200 ok", "scheduler /livez": "200 ok"}, stop: map[string]func(){}}
	api := s.serve(t, "api", s.credentials(t, s.Cluster))
	own := &tls.Config{Certificates: []tls.Certificate{s.leaf(t, machine.New(t, loneCluster), "master-1/etcd-server")}} // anybody's
	rebase := []string{`"apiserverPort": 8443`, fmt.Sprintf(`"apiserverPort": %d`, api), s.Plan.Endpoint.URL, fmt.Sprintf("https://127.0.0.1:%d", api)}
	for _, n := range s.Plan.Nodes {
		rebase = append(rebase, `"address": "`+n.Address+`"`, `"address": "127.0.0.1"`)
	}
	s.root = s.Root(t, name, rebase...)
	machine.Write(t, s.root, "/etc/imgforge/mesh.env", "MESH_INTERFACE=\"lo\"\n", 0o644)
	for _, program := range []string{"kubelet", "containerd", "nft"} {
		machine.Write(t, s.root, "/bin/"+program, "", 0o755)
	}
	list := "#!/bin/sh\n"
	for _, w := range wantedImages(s.root) {
		list += "echo " + artifact.ImageName(w.image) + "\n"
	}
	machine.Write(t, s.root, "/bin/ctr", list, 0o755)
	machine.Write(t, s.root, "/containerd.sock", "", 0o600)
	machine.Write(t, s.root, "/bin/systemctl", "#!/bin/sh\necho LoadState=loaded\necho ActiveState=activating\necho SubState=auto-restart\n", 0o755)
	machine.Write(t, s.root, "/bin/journalctl", "#!/bin/sh\necho 'E1121 15:00:01.000000 1 run.go:72] \"command failed\" err=\"unknown flag: --foo\"'\n", 0o755)
	s.o = Options{Root: s.root, Programs: s.root + "/bin:/usr/bin:/bin", Grace: time.Nanosecond, whoHas: func(net.Interface, netip.Addr) string { return "" }, disks: roomy,
		Containerd: s.root + "/containerd.sock", Ports: Ports{Kubelet: s.serve(t, "kubelet", nil), Etcd: s.serve(t, "etcd", nil),
			ControllerManager: s.serve(t, "manager", own), Scheduler: s.serve(t, "scheduler", own), HAProxy: s.serve(t, "haproxy", nil)}}.orDefault()
	return s
}

// leaf is a certificate of the store.
func (s *site) leaf(t *testing.T, c machine.Cluster, id string) tls.Certificate {
	t.Helper()
	cert, err := c.Store.Certificate(id)
	if err != nil {
		t.Fatal(err)
	}
	key, err := c.Store.PrivateKey(id)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// credentials are those of the API server of a cluster.
func (s *site) credentials(t *testing.T, c machine.Cluster) *tls.Config {
	t.Helper()
	ca, err := c.Store.Authority("kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{Certificates: []tls.Certificate{s.leaf(t, c, "master-1/apiserver")}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven}
}

// serve answers for one program until it is stopped.
func (s *site) serve(t *testing.T, name string, config *tls.Config) (port int) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		answer, known := s.answers[name+" "+r.URL.Path]
		s.mu.Unlock()
		if strings.HasPrefix(r.URL.Path, "/api/") && (r.TLS == nil || len(r.TLS.PeerCertificates) == 0 || !strings.HasPrefix(r.TLS.PeerCertificates[0].Subject.CommonName, "system:node:")) {
			answer, known = `401 {"message":"Unauthorized"}`, true
		}
		status, body, _ := strings.Cut(answer, " ")
		code, err := strconv.Atoi(status)
		if !known || err != nil {
			code = http.StatusNotFound
		}
		if !known && s.nodes != nil && name == "api" && r.URL.Path == "/api/v1/nodes" {
			s.nodes.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}))
	if config == nil {
		server.Start()
	} else {
		server.TLS = config
		server.StartTLS()
	}
	s.stop[name] = server.Close
	t.Cleanup(server.Close)
	return server.Listener.Addr().(*net.TCPAddr).Port
}

func (s *site) answer(where, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[where] = what
}

// words is one look of a new looker.
func (s *site) words(t *testing.T) []Word {
	t.Helper()
	l, err := newLooker(s.o)
	if err != nil {
		t.Fatal(err)
	}
	return Decide(l.look(t.Context()))
}

// expect looks, and wants one code of all steps.
func (s *site) expect(t *testing.T, code int, says string) {
	t.Helper()
	var found []string
	words := s.words(t)
	for _, w := range words {
		if w.Code != 0 {
			found = append(found, fmt.Sprint(w.Code))
		}
		if w.Code == code && code != 0 && !strings.Contains(w.Why, says) {
			t.Errorf("code %d does not say %q: %s", code, says, w.Why)
		}
		if strings.Contains(w.Why, s.root) {
			t.Errorf("%q is not a path of the node", w.Why)
		}
	}
	if strings.Join(found, " ") != fmt.Sprint(code) && (code != 0 || found != nil) {
		t.Errorf("want code %d alone: %+v", code, words)
	}
}

// Every part that fails is the one that is named.
func TestBrokenMaster(t *testing.T) {
	s := newSite(t, "master-1")
	if words := s.words(t); !wellAll(words) {
		t.Fatalf("it is not well: %+v", words)
	}
	s.answer("api /readyz", "500 [+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n")
	s.expect(t, bootcode.APINotReady, "it answers 500: etcd failed")
	s.answer("api /readyz", "200 ok")
	s.answer("manager /healthz", "500 [-]leaderElection failed: reason withheld\n")
	s.expect(t, bootcode.PartDown, "kube-controller-manager: it answers 500: leaderElection failed")
	s.answer("manager /healthz", "200 ok")
	machine.Write(t, s.root, "/var/log/pods/kube-system_kube-scheduler-master-1_0/kube-scheduler/0.log", "2026-11-21T15:00:00.1Z stderr F I1121 fine\n", 0o644)
	newest := filepath.Join(s.root, "/var/log/pods/kube-system_kube-scheduler-master-1_0/kube-scheduler/1.log")
	machine.Write(t, s.root, "/var/log/pods/kube-system_kube-scheduler-master-1_0/kube-scheduler/1.log",
		"2026-11-21T15:00:00.1Z stderr F E1121 15:00:00.000000       1 run.go:72] \"command failed\" err=\"no such flag\"\n", 0o644)
	if err := os.Chtimes(newest, time.Now().Add(time.Hour), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	s.stop["scheduler"]()
	s.expect(t, bootcode.PartDown, "connection refused\nrun.go:72] \"command failed\" err=\"no such flag\"")
	s.stop["etcd"]()
	s.expect(t, bootcode.PartDown, "etcd: dial tcp")
	record := &step.Log{Root: s.root, Stderr: io.Discard, Now: time.Now}
	record.Failed(bootcode.Fail(bootcode.EtcdNoQuorum, "x"))
	s.expect(t, 0, "") // who knows etcd has said it

	foreign := machine.New(t, loneCluster).Root(t, "master-1")
	machine.Copy(t, filepath.Join(foreign, "/etc/kubernetes/pki/etcd/ca.crt"), filepath.Join(s.root, "/etc/kubernetes/pki/etcd/ca.crt"))
	s.expect(t, bootcode.LeafForeign, "/etc/kubernetes/pki/apiserver-etcd-client.crt: it was not signed by the authority in /etc/kubernetes/pki/etcd/ca.crt")
}

// A worker's kubelet, and what the API says of its node.
func TestBrokenWorker(t *testing.T) {
	s := newSite(t, "worker-1")
	if words := s.words(t); !wellAll(words) {
		t.Fatalf("it is not well: %+v", words)
	}
	node := "api /api/v1/nodes/worker-1"
	for answer, want := range map[string]struct {
		code int
		says string
	}{
		`401 {"message":"Unauthorized"}`:                    {bootcode.NodeRefused, "answers 401: Unauthorized"},
		`403 {"message":"nodes \"worker-1\" is forbidden"}`: {bootcode.NodeRefused, "is forbidden"},
		`404 {"message":"nodes \"worker-1\" not found"}`:    {bootcode.NodeUnregistered, "knows no node worker-1\nkubelet.service is activating (auto-restart): run.go:72]"},
		`200 {"status":{"conditions":[{"type":"Ready","status":"False","reason":"KubeletNotReady","message":"cni plugin not initialized"}]}}`: {bootcode.NodeNotReady, "KubeletNotReady: cni plugin not initialized"},
		`200 {"status":{}}`:   {bootcode.NodeNotReady, "has not said"},
		`503 <html>no server`: {bootcode.APISilent, "no server"},
	} {
		s.answer(node, answer)
		s.expect(t, want.code, want.says)
	}
	s.answer(node, readyNode)
	// Only the kubelet's own leaf is shown, and the one that it renewed instead of it.
	machine.Write(t, s.root, "/var/lib/kubelet/pki/kubelet-client-current.pem", "damaged", 0o600)
	s.expect(t, bootcode.APISilent, "tls: ")
	if err := os.Remove(filepath.Join(s.root, "/var/lib/kubelet/pki/kubelet-client-current.pem")); err != nil {
		t.Fatal(err)
	}
	machine.Write(t, s.root, "/etc/kubernetes/manifests/haproxy.yaml", "", 0o600)
	s.answer("haproxy /healthz", "503 no")
	s.expect(t, bootcode.ProxyDown, "it answers 503: no")
	s.stop["haproxy"]()
	s.expect(t, bootcode.ProxyDown, "connection refused")
	if err := os.Remove(filepath.Join(s.root, "/etc/kubernetes/manifests/haproxy.yaml")); err != nil {
		t.Fatal(err)
	}
	s.stop["kubelet"]()
	s.expect(t, bootcode.KubeletDown, `kubelet.service is activating (auto-restart): run.go:72] "command failed" err="unknown flag: --foo"`)
	s.o.Ports.Kubelet = s.serve(t, "kubelet", nil)
	s.stop["api"]()
	s.expect(t, bootcode.APISilent, "connection refused")
	// Another cluster's API server at the same address.
	other := machine.New(t, loneCluster)
	at := s.serve(t, "api", s.credentials(t, other))
	cluster := filepath.Join(s.root, "/etc/imgforge/cluster.json")
	text, err := os.ReadFile(cluster)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLooker(s.o)
	if err != nil {
		t.Fatal(err)
	}
	machine.Write(t, s.root, "/etc/imgforge/cluster.json", strings.ReplaceAll(string(text), l.cluster.EndpointURL, fmt.Sprintf("https://127.0.0.1:%d", at)), 0o644)
	s.expect(t, bootcode.APIForeign, "unknown authority")
}

// An ended leaf is said at once, one that ends within a month is a warning.
func TestLeafEnds(t *testing.T) {
	s := newSite(t, "master-1")
	for days, code := range map[int]int{0: 0, 340: bootcode.LeafExpiring, 366: bootcode.LeafEnded} {
		s.o.Now = func() time.Time { return time.Now().AddDate(0, 0, days) }
		s.expect(t, code, "/etc/kubernetes/pki/")
	}
}

// roomy is a node with one file system that has room.
func roomy(string, string) []Disk { return []Disk{{Path: "/", Size: 20 << 30, Free: 10 << 30}} }
