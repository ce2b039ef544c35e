// Package registry asks container registries which digest a name stands for, and
// says where the parts of an image can be had, so that the cache fetches and
// verifies them like any other file.
package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/imgforge/imgforge/images/cache"
)

// Registry is how one registry is reached, as the nodes reach it.
type Registry struct {
	Host    string   // as it stands in image names
	Mirrors []string // URLs, tried first and in order
	// CA is PEM of an authority to trust besides the system's, for host and mirrors.
	CA string
	// Username and Password are for the host alone, never for its mirrors.
	Username, Password string
}

// Client resolves and locates images.
type Client struct {
	cache      *cache.Cache
	registries []Registry
	keychain   authn.Keychain
	plain      http.RoundTripper
	repos      repos
}

// New is a client for a cluster's registries. Credentials that the cluster file
// does not name come from Docker's configuration of the user who runs this.
// Connections are made as the cache's client makes them.
func New(c *cache.Cache, registries []Registry) (*Client, error) {
	plain := http.RoundTripper(http.DefaultTransport)
	if c.Client != nil && c.Client.Transport != nil {
		plain = c.Client.Transport
	}
	for _, r := range registries {
		if r.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(r.CA)) {
			return nil, fmt.Errorf("registry %s: its authority is no certificate in PEM", r.Host)
		}
	}
	return &Client{cache: c, registries: registries, keychain: authn.DefaultKeychain, plain: plain, repos: repos{known: map[string]*repo{}}}, nil
}

// place is one place where a repository's images may be: a mirror, or its registry.
type place struct {
	repo   name.Repository
	prefix string // of the path, before /v2/
	// ns is the registry that a mirror stands for, which containerd names as well.
	ns   string
	ca   string
	auth authn.Authenticator // nil: what the keychain has for the place
}

// places are where an image may be, mirrors first.
func (c *Client) places(of name.Repository) ([]place, error) {
	r := c.configured(of.RegistryStr())
	var out []place
	for _, m := range r.Mirrors {
		u, err := url.Parse(m)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("registry %s: %q is no URL of a mirror", r.Host, m)
		}
		var options []name.Option
		if u.Scheme == "http" {
			options = append(options, name.Insecure)
		}
		at, err := name.NewRegistry(u.Host, options...)
		if err != nil {
			return nil, fmt.Errorf("registry %s: mirror %s: %w", r.Host, m, err)
		}
		out = append(out, place{repo: at.Repo(of.RepositoryStr()), ca: r.CA, ns: dockerName(of.RegistryStr()),
			prefix: strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/v2")})
	}
	if c.cache.MirrorsOnly && len(out) > 0 {
		return out, nil
	}
	own := place{repo: of, ca: r.CA}
	if r.Username != "" {
		own.auth = &authn.Basic{Username: r.Username, Password: r.Password}
	}
	return append(out, own), nil
}

// dockerName is what image names and cluster files call Docker's registry.
func dockerName(host string) string {
	if host == name.DefaultRegistry {
		return "docker.io"
	}
	return host
}

func (c *Client) configured(host string) Registry {
	i := slices.IndexFunc(c.registries, func(r Registry) bool { return r.Host == host || r.Host == dockerName(host) })
	if i < 0 {
		return Registry{Host: host}
	}
	return c.registries[i]
}

// transport trusts what the place is trusted by.
func (c *Client) transport(p place) (http.RoundTripper, error) {
	base := c.plain
	if p.ca != "" {
		t, ok := base.(*http.Transport)
		if !ok {
			return nil, errors.New("an authority of its own needs the standard transport")
		}
		t = t.Clone()
		pool, err := x509.SystemCertPool()
		if t.TLSClientConfig != nil && t.TLSClientConfig.RootCAs != nil {
			pool, err = t.TLSClientConfig.RootCAs.Clone(), nil
		}
		if err != nil {
			pool = x509.NewCertPool()
		}
		pool.AppendCertsFromPEM([]byte(p.ca))
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		base = t
	}
	return &aimed{base: base, host: p.repo.RegistryStr(), prefix: p.prefix, ns: p.ns}, nil
}

// aimed sends requests to a mirror that has a path of its own, and says which
// registry it stands for, as containerd does.
type aimed struct {
	base             http.RoundTripper
	host, prefix, ns string
}

func (a *aimed) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == a.host && strings.HasPrefix(r.URL.Path, "/v2/") && (a.prefix != "" || a.ns != "") {
		r = r.Clone(r.Context())
		r.URL.Path = a.prefix + r.URL.Path
		if a.ns != "" {
			q := r.URL.Query()
			q.Set("ns", a.ns)
			r.URL.RawQuery = q.Encode()
		}
	}
	return a.base.RoundTrip(r)
}

func (c *Client) authenticator(ctx context.Context, p place) (authn.Authenticator, error) {
	if p.auth != nil {
		return p.auth, nil
	}
	return authn.Resolve(ctx, c.keychain, p.repo)
}
