package signin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// What the registry and its token server agreed upon.
const (
	service = "loopback"
	issuer  = "tokens of the loopback"
	// IdentityToken is what a client may give instead of the password (OAuth 2).
	IdentityToken = "identity-token-of-ci"
)

// Tokens is a token server as the registry's documents describe it: GET with a name and a
// password, or POST with a refresh token, gives a signed token for what the scope says.
type Tokens struct {
	url, bundle string
	key         *ecdsa.PrivateKey
	cert        []byte // DER
	mu          sync.Mutex
	given       int
	refused     int
	all         []string
}

// Given is how many tokens were given, and how often somebody was refused.
func (s *Tokens) Given() (given, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.given, s.refused
}

func newTokens(t testing.TB) *Tokens {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name := pkix.Name{CommonName: issuer}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: name, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := &Tokens{key: key, cert: cert, bundle: filepath.Join(t.TempDir(), "bundle.pem")}
	if err := os.WriteFile(s.bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(s.token))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// token answers who signs in.
func (s *Tokens) token(w http.ResponseWriter, r *http.Request) {
	name, password, _ := r.BasicAuth()
	known := name == User && password == Password
	if r.Method == http.MethodPost {
		known = r.FormValue("refresh_token") == IdentityToken && r.FormValue("grant_type") == "refresh_token"
	}
	var scopes []string
	if err := r.ParseForm(); err == nil {
		for _, value := range r.Form["scope"] {
			scopes = append(scopes, strings.Fields(value)...)
		}
	}
	if !known || r.FormValue("service") != service {
		s.mu.Lock()
		s.refused++
		s.mu.Unlock()
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	token, err := s.sign(scopes)
	if err != nil {
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"token": token, "access_token": token, "expires_in": 300})
}

// sign makes a JSON web token with its certificate in it.
func (s *Tokens) sign(scopes []string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given++
	access := []map[string]any{}
	for _, scope := range scopes { // repository:NAME:pull,push
		if kind, rest, ok := strings.Cut(scope, ":"); ok {
			at := strings.LastIndexByte(rest, ':')
			access = append(access, map[string]any{"type": kind, "name": rest[:max(at, 0)], "actions": strings.Split(rest[at+1:], ",")})
		}
	}
	now := time.Now()
	var parts []string
	for _, part := range []map[string]any{
		{"typ": "JWT", "alg": "ES256", "x5c": []string{base64.StdEncoding.EncodeToString(s.cert)}},
		{"iss": issuer, "sub": User, "aud": service, "jti": fmt.Sprint(s.given), "iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(), "access": access},
	} {
		text, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, ".")))
	a, b, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		return "", err
	}
	signature := append(a.FillBytes(make([]byte, 32)), b.FillBytes(make([]byte, 32))...)
	token := strings.Join(append(parts, base64.RawURLEncoding.EncodeToString(signature)), ".")
	s.all = append(s.all, token)
	return token, nil
}
