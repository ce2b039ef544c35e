// Package upstream stands in for the places that imgforge downloads from, on
// loopback: a real registry of go-containerregistry, and a file server that lays
// files out as a mirror does, in the formats that publishers use, signed by a key
// of its own. What it serves is small and means nothing.
package upstream

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/registry"
)

// Site is everything that is served.
type Site struct {
	// Mirror is where the files are, for --mirror; Registry where the images are.
	Mirror, Registry string
	// Auth is whom images are pushed as, to a Registry that is another than the site's own.
	Auth authn.Authenticator
	// Keys are the public keys of the one who signs, in ASCII armour.
	Keys []byte

	files, images *httptest.Server
	signer        *openpgp.Entity
	mu            sync.Mutex
	contents      map[string][]byte // by /host/path
	asked         []string
	packages      map[string][]byte // of Debian, by name
	fault         func(w http.ResponseWriter, r *http.Request) bool
}

// Start serves an empty site until Close.
func Start() (*Site, error) {
	signer, err := openpgp.NewEntity("Stand-in", "", "standin@example.org", signing())
	if err != nil {
		return nil, err
	}
	s := &Site{Auth: authn.Anonymous, signer: signer, contents: map[string][]byte{}}
	s.files = httptest.NewServer(s)
	reg := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s.images = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.note("image " + r.Method + " " + r.URL.Path)
		reg.ServeHTTP(w, r)
	}))
	s.Mirror, s.Registry = s.files.URL, s.images.URL
	var keys bytes.Buffer
	w, err := armor.Encode(&keys, openpgp.PublicKeyType, nil)
	if err != nil {
		return nil, err
	}
	if err := signer.Serialize(w); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	s.Keys = append(keys.Bytes(), '\n')
	return s, nil
}

// Close stops serving.
func (s *Site) Close() {
	s.files.Close()
	s.images.Close()
}

// Fault is asked before a file is served; true means that it answered.
func (s *Site) Fault(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Asked is what was asked for since the last call.
func (s *Site) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.asked
	s.asked = nil
	return out
}

func (s *Site) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, line)
}

func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.note(r.Method + " " + r.URL.Path)
	s.mu.Lock()
	data, ok := s.contents[r.URL.Path]
	fault := s.fault
	s.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(data)
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum[:8]))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// Put publishes a file under its own URL.
func (s *Site) Put(at string, data []byte) error {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" {
		return fmt.Errorf("publish %q: no URL", at)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.contents["/"+u.Host+u.Path] = data
	return nil
}

// Get is a published file, or nil.
func (s *Site) Get(at string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.contents["/"+strings.TrimPrefix(strings.TrimPrefix(at, "https://"), "http://")]
}

// signing is a moment before every test's own.
func signing() *packet.Config {
	return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }}
}

// clearSign signs a text in clear.
func (s *Site) clearSign(text []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, s.signer.PrivateKey, signing())
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// detached signs data as gpg --detach-sign does.
func (s *Site) detached(data []byte) ([]byte, error) {
	var out bytes.Buffer
	err := openpgp.DetachSign(&out, s.signer, bytes.NewReader(data), signing())
	return out.Bytes(), err
}

func sum256(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }
func sum512(data []byte) string { return fmt.Sprintf("%x", sha512.Sum512(data)) }

// body is what a published thing consists of: its name, often enough that it
// takes more than one read.
func body(name string) []byte { return bytes.Repeat([]byte(name+"\n"), 3000) }
