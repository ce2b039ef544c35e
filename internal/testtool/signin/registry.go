// Package signin runs Debian's container registry on loopback behind a sign-in: a name
// and a password, or tokens of a server of its own, as most public registries have it.
// The registry itself judges passwords, signatures of tokens and what they allow.
package signin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/imgforge/imgforge/internal/testtool"
)

// User and Password are whom every registry here knows.
const (
	User     = "ci"
	Password = "let-me-in-to-this-registry"
)

// Registry is a registry that nobody reads without signing in.
type Registry struct {
	Host   string  // as in image names
	Tokens *Tokens // nil where it wants a password
	uses   int
	mu     sync.Mutex
	used   map[string]int
}

// Basic is a registry that wants a name and a password with every request.
func Basic(t testing.TB) *Registry {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(Password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(path, fmt.Appendf(nil, "%s:%s\n", User, hash), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &Registry{}
	r.serve(t, fmt.Sprintf("auth: {htpasswd: {realm: loopback, path: %q}}\n", path))
	return r
}

// Bearer is a registry that wants a token, which its token server gives. A token serves
// for so many requests, 0 for any number: clients have to notice when it ends.
func Bearer(t testing.TB, uses int) *Registry {
	t.Helper()
	r := &Registry{Tokens: newTokens(t), uses: uses, used: map[string]int{}}
	r.serve(t, fmt.Sprintf("auth: {token: {realm: %q, service: %q, issuer: %q, rootcertbundle: %q}}\n", r.Tokens.url+"/token", service, issuer, r.Tokens.bundle))
	return r
}

// Secrets are all that nobody may print: passwords, and the tokens that were given.
func (r *Registry) Secrets() []string {
	out := []string{Password, IdentityToken}
	if r.Tokens != nil {
		r.Tokens.mu.Lock()
		defer r.Tokens.mu.Unlock()
		out = append(out, r.Tokens.all...)
	}
	return out
}

// serve runs the registry, and before it a proxy that counts the uses of tokens.
func (r *Registry) serve(t testing.TB, auth string) {
	t.Helper()
	behind := &url.URL{Scheme: "http", Host: run(t, auth)}
	resp, err := http.Get(behind.String() + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Fatalf("the registry lets anybody in: %s", resp.Status)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(behind)
		p.Out.Host = p.In.Host // of which the registry makes the places of uploads
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.spent(req.Header.Get("Authorization")) {
			req.Header.Set("Authorization", "Bearer ended") // the registry says what it wants
		}
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(front.Close)
	r.Host = strings.TrimPrefix(front.URL, "http://")
}

// Shorten has each token serve for so many requests from now on.
func (r *Registry) Shorten(uses int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uses = uses
}

// spent counts one use of a token.
func (r *Registry) spent(authorization string) bool {
	token, ok := strings.CutPrefix(authorization, "Bearer ")
	r.mu.Lock()
	defer r.mu.Unlock()
	if !ok || r.uses == 0 {
		return false
	}
	r.used[token]++
	return r.used[token] > r.uses
}

// Open is the same registry without a sign-in, by its host and port.
func Open(t testing.TB) string {
	t.Helper()
	return run(t, "")
}

// run starts Debian's registry with a folder of its own and returns its address.
func run(t testing.TB, auth string) string {
	t.Helper()
	program, dir := testtool.Path(t, "docker-registry"), t.TempDir()
	return testtool.Server(t, func(address string) *exec.Cmd {
		config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage:\n  filesystem: {rootdirectory: %q}\nhttp: {addr: %q, secret: loopback}\n",
			filepath.Join(dir, "files"), address) + auth
		path := filepath.Join(dir, "config.yml")
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		return exec.Command(program, "serve", path)
	})
}
