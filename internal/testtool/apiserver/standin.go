package apiserver

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
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
)

// StandIn is no API server: it keeps what it is sent and says no where it is told
// to. It makes codes happen that the real one cannot be brought to in a moment; the
// real one judges everything else.
type StandIn struct {
	Root string // of a master that speaks to it
	// No, when set, answers in its place: a status of HTTP, and what is minded.
	No func(method, path string) (status int, reason, message string, causes []map[string]string)

	mu      sync.Mutex
	objects map[string]map[string]any
	version int
}

// NewStandIn makes the root of a master of that cluster, and serves it.
func NewStandIn(t testing.TB, cluster artifact.ClusterFile) *StandIn {
	t.Helper()
	s := &StandIn{Root: t.TempDir(), objects: map[string]map[string]any{}}
	put := func(path string, data []byte, err error) {
		t.Helper()
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(s.Root, path)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(s.Root, path), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cert, key := selfSigned(t)
	for _, path := range []string{"ca", "admin", "kubelet-signer"} {
		put("/etc/kubernetes/pki/"+path+".crt", cert, nil)
		put("/etc/kubernetes/pki/"+path+".key", key, nil)
	}
	leaf, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{leaf}, ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	me, err := artifact.EncodeNodeFile(artifact.NodeFile{Cluster: cluster.Cluster, Node: "master-1", Role: "master", Slot: 1,
		Address: "192.168.66.11", APIServerPort: server.Listener.Addr().(*net.TCPAddr).Port})
	put(artifact.NodeFilePath, me, err)
	text, err := artifact.EncodeClusterFile(cluster)
	put(artifact.ClusterFilePath, text, err)
	return s
}

func selfSigned(t testing.TB) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stand-in"}, NotBefore: time.Now().Add(-time.Hour),
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

// Put keeps an object at its path.
func (s *StandIn) Put(path string, object map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(path, object)
}

func (s *StandIn) keep(path string, object map[string]any) {
	s.version++
	meta, _ := object["metadata"].(map[string]any)
	if meta == nil {
		meta = map[string]any{}
		object["metadata"] = meta
	}
	meta["resourceVersion"] = fmt.Sprint(s.version)
	s.objects[path] = object
}

// ServeHTTP answers.
func (s *StandIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.No != nil {
		if status, reason, message, causes := s.No(r.Method, r.URL.Path); status != 0 {
			answer(w, status, map[string]any{"kind": "Status", "reason": reason, "message": message, "details": map[string]any{"causes": causes}})
			return
		}
	}
	var sent map[string]any
	if data, _ := io.ReadAll(r.Body); len(data) > 0 {
		if err := json.Unmarshal(data, &sent); err != nil {
			answer(w, http.StatusBadRequest, map[string]any{"reason": "BadRequest", "message": err.Error()})
			return
		}
	}
	have, there := s.objects[r.URL.Path]
	switch {
	case r.URL.Path == "/readyz" || r.URL.Query().Has("watch"):
		w.WriteHeader(http.StatusOK)
	case r.Method == http.MethodPost:
		meta := sent["metadata"].(map[string]any)
		s.keep(r.URL.Path+"/"+meta["name"].(string), sent)
		answer(w, http.StatusCreated, sent)
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/merge-patch") && there:
		s.keep(r.URL.Path, merge(have, sent))
		answer(w, http.StatusOK, have)
	case r.Method != http.MethodGet:
		s.keep(strings.TrimSuffix(r.URL.Path, "/approval"), sent)
		answer(w, http.StatusOK, sent)
	case there:
		answer(w, http.StatusOK, have)
	case strings.HasSuffix(r.URL.Path, "s"): // a list of a plural, and no object of these tests
		s.list(w, r.URL.Path)
	default:
		answer(w, http.StatusNotFound, map[string]any{"reason": "NotFound", "message": "not found"})
	}
}

// merge is a merge patch: what is null goes.
func merge(into, patch map[string]any) map[string]any {
	for key, value := range patch {
		inner, isMap := value.(map[string]any)
		old, wasMap := into[key].(map[string]any)
		switch {
		case value == nil:
			delete(into, key)
		case isMap && wasMap:
			merge(old, inner)
		case isMap:
			into[key] = merge(map[string]any{}, inner)
		default:
			into[key] = value
		}
	}
	return into
}

func (s *StandIn) list(w http.ResponseWriter, path string) {
	items := []any{}
	for at, object := range s.objects {
		if filepath.Dir(at) == path {
			items = append(items, object)
		}
	}
	if len(items) == 0 && strings.Contains(path, "/namespaces/") {
		answer(w, http.StatusNotFound, map[string]any{"reason": "NotFound", "message": "not found"})
		return
	}
	answer(w, http.StatusOK, map[string]any{"metadata": map[string]any{"resourceVersion": "1"}, "items": items})
}

func answer(w http.ResponseWriter, status int, object map[string]any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(object)
}
