package forge

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	bearer = "t0ken-of-an-admin"
	page   = `{"kind": "NodeList", "apiVersion": "v1", "metadata": {"continue": %q}, "items": [{"metadata": {"name": %q}, "status": {"conditions": [
		{"type": "MemoryPressure", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}, {"type": "Ready", "status": %q, "lastTransitionTime": "2026-03-01T10:00:00Z"}]}}]}`
)

// nodesServer lists three nodes, one a page, for whoever has the token.
func nodesServer(t *testing.T) *httptest.Server {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+bearer {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.URL.Path + "?" + r.URL.Query().Get("continue") {
		case "/api/v1/nodes?":
			fmt.Fprintf(w, page, "two", "master-1", "True")
		case "/api/v1/nodes?two":
			fmt.Fprintf(w, page, "three", "worker-1", "Unknown")
		case "/api/v1/nodes?three":
			fmt.Fprintf(w, page, "", "worker-2", "True")
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func kubeconfigFor(t *testing.T, server *httptest.Server, cluster, user string) string {
	t.Helper()
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: here
contexts: [{name: there, context: {cluster: other, user: other}}, {name: here, context: {cluster: a, user: b}}]
clusters: [{name: a, cluster: {server: %q%s}}]
users: [{name: b, user: {%s}}]
`, server.URL, strings.ReplaceAll(cluster, "CA", ca), user)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadyNodes(t *testing.T) {
	server := nodesServer(t)
	got, err := readyNodes(t.Context(), kubeconfigFor(t, server, ", certificate-authority-data: CA", "token: "+bearer))
	if err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{"master-1", "worker-2"}) || !got["worker-2"].Equal(time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("%v", got)
	}
}

// What a kubeconfig cannot do is said with what to do instead, and without its secrets.
func TestReadyNodesRefused(t *testing.T) {
	server := nodesServer(t)
	for name, test := range map[string]struct{ cluster, user, want string }{
		"another token":         {", certificate-authority-data: CA", "token: wr0ng", "`imgforge kubeconfig` makes one that may"},
		"a program":             {", certificate-authority-data: CA", "exec: {command: aws}", "`imgforge kubeconfig` makes a file with a certificate"},
		"any server":            {", insecure-skip-tls-verify: true", "token: " + bearer, "write certificate-authority-data instead"},
		"an authority of none":  {"", "token: " + bearer, "certificate signed by unknown authority"},
		"an authority in plain": {", certificate-authority-data: '-----'", "token: " + bearer, "it is not in base64"},
		"a key of nothing":      {", certificate-authority-data: CA", "client-certificate-data: AAAA, client-key-data: AAAA", "its client certificate and key"},
		"a file that is away":   {", certificate-authority-data: CA", "tokenFile: away", "its token: open "},
	} {
		_, err := readyNodes(t.Context(), kubeconfigFor(t, server, test.cluster, test.user))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), bearer) || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
