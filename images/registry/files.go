package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/imgforge/imgforge/images/cache"
)

// Files are the parts of an image that the cache must have: its manifests, and,
// once those are there, its configuration and layers.
func (c *Client) Files(img Image) ([]cache.File, error) {
	ref, err := name.ParseReference(img.Name)
	if err != nil {
		return nil, err
	}
	places, err := c.places(ref.Context())
	if err != nil {
		return nil, err
	}
	file := func(what, kind string, d cache.Digest, size int64) cache.File {
		f := cache.File{Name: img.Name + " (" + what + ")", Size: size, Digest: d}
		for _, p := range places {
			f.From = append(f.From, c.repos.source(c, p, kind+"/"+string(d)))
		}
		f.URL = f.From[len(f.From)-1].URL
		return f
	}
	out := []cache.File{file("manifest", "manifests", img.Manifest, 0)}
	if img.Index != "" {
		out = append(out, file("index", "manifests", img.Index, 0))
	}
	if !c.cache.Has(img.Manifest) {
		return out, nil
	}
	manifest, err := c.cache.Read(img.Manifest)
	if err != nil {
		return nil, err
	}
	parts, err := blobs(manifest)
	if err != nil {
		return nil, err
	}
	for i, b := range parts {
		what := "layer"
		if i == 0 {
			what = "configuration"
		}
		d, err := cache.ParseDigest(b.Digest.String())
		if err != nil {
			return nil, err
		}
		out = append(out, file(what, "blobs", d, b.Size))
	}
	return out, nil
}

// repos are the connections to repositories, each made when it is first needed:
// a mirror that is down must not keep the next one from being asked.
type repos struct {
	mu    sync.Mutex
	known map[string]*repo
}

func (r *repos) source(c *Client, p place, path string) cache.Source {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := p.prefix + " " + p.repo.Name()
	if r.known[key] == nil {
		r.known[key] = &repo{client: c, place: p}
	}
	return cache.Source{URL: p.repo.Registry.Scheme() + "://" + p.repo.RegistryStr() + "/v2/" + p.repo.RepositoryStr() + "/" + path,
		Client: &http.Client{Transport: r.known[key]}}
}

// repo signs in to a repository with the first request.
type repo struct {
	client *Client
	place  place
	mu     sync.Mutex
	ready  http.RoundTripper
}

func (r *repo) RoundTrip(req *http.Request) (*http.Response, error) {
	t, err := r.transport(req.Context())
	if err != nil {
		return nil, err
	}
	if strings.Contains(req.URL.Path, "/manifests/") {
		req = req.Clone(req.Context())
		// A registry may turn an image into another form for those who do not name this one.
		req.Header["Accept"] = []string{"application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
			"application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.docker.distribution.manifest.v2+json"}
	}
	resp, err := t.RoundTrip(req)
	if err == nil && denied(resp.StatusCode) { // of a registry that wants a password with each request
		resp.Status += ": " + signIn
	}
	return resp, err
}

func (r *repo) transport(ctx context.Context) (http.RoundTripper, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready != nil {
		return r.ready, nil
	}
	base, err := r.client.transport(r.place)
	if err != nil {
		return nil, err
	}
	auth, err := r.client.authenticator(ctx, r.place)
	if err != nil {
		return nil, err
	}
	ready, err := transport.NewWithContext(ctx, r.place.repo.Registry, auth, base, []string{r.place.repo.Scope(transport.PullScope)})
	if err != nil {
		return nil, refused(err)
	}
	r.ready = ready
	return r.ready, nil
}

const signIn = "it is not there, or not for you: sign in with `docker login`, or whatever else writes Docker's configuration"

func denied(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// refused says what to do about a sign-in that was refused.
func refused(err error) error {
	if t, ok := errors.AsType[*transport.Error](err); ok && denied(t.StatusCode) {
		return fmt.Errorf("%w: %s", err, signIn)
	}
	return err
}
