package release

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Target is a repository of a registry and how it is reached.
type Target struct {
	// Repository is HOST/PATH.
	Repository string
	// Transport makes the connections; nil is the standard one.
	Transport http.RoundTripper
	// Username and Password are used where Docker's configuration of the user who
	// runs this has nothing for the registry.
	Username, Password string
	// Attempts is how often in a row a step may fail, 5 when 0; Backoff is the pause
	// after that many failures, of seconds when nil.
	Attempts int
	Backoff  func(failures int) time.Duration
}

// connection is a repository that signed in with its first request.
type connection struct {
	Target
	repo  name.Repository
	auth  authn.Authenticator
	scope string
	ready http.RoundTripper
}

// ParseRepository checks the name of a repository, which has neither tag nor digest.
func ParseRepository(text string) (name.Repository, error) {
	if strings.Contains(text, "://") || strings.Contains(text, "@") || strings.Contains(text[strings.LastIndexByte(text, '/')+1:], ":") || !strings.Contains(text, "/") {
		return name.Repository{}, fmt.Errorf("%q is no repository: write it as HOST/PATH, without tag and digest", text)
	}
	repo, err := name.NewRepository(text, name.StrictValidation)
	if err != nil {
		return name.Repository{}, fmt.Errorf("%q is no repository: %w", text, err)
	}
	return repo, nil
}

// connect chooses the credentials; it asks nobody yet.
func (t Target) connect(ctx context.Context, scope string) (*connection, error) {
	repo, err := ParseRepository(t.Repository)
	if err != nil {
		return nil, err
	}
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, repo)
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", repo.RegistryStr(), err)
	}
	if auth == authn.Anonymous && t.Username != "" {
		auth = &authn.Basic{Username: t.Username, Password: t.Password}
	}
	if t.Transport == nil {
		t.Transport = http.DefaultTransport
	}
	return &connection{Target: t, repo: repo, auth: auth, scope: scope}, nil
}

// anonymous is the same repository for somebody without credentials.
func (c *connection) anonymous() *connection {
	return &connection{Target: c.Target, repo: c.repo, auth: authn.Anonymous, scope: transport.PullScope}
}

// rewound sends a request's body from its beginning each time: the transport that
// signs in sends a request twice when its token has ended.
type rewound struct{ base http.RoundTripper }

func (r rewound) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		req.Body.Close()
		req = req.Clone(req.Context())
		req.Body = body
	}
	return r.base.RoundTrip(req)
}

// do sends a request to the registry. It follows no redirect: an upload's place
// comes from the registry itself.
func (c *connection) do(req *http.Request) (*http.Response, error) {
	if c.ready == nil {
		ready, err := transport.NewWithContext(req.Context(), c.repo.Registry, c.auth, transport.NewUserAgent(rewound{c.Transport}, "imgforge"), []string{c.repo.Scope(c.scope)})
		if err != nil {
			return nil, err
		}
		c.ready = ready
	}
	client := http.Client{Transport: c.ready}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client.Do(req)
}

func (c *connection) url(path string) string {
	return c.repo.Registry.Scheme() + "://" + c.repo.RegistryStr() + "/v2/" + c.repo.RepositoryStr() + "/" + path
}

// ask sends a request without a body, and returns the answer when its status is one
// of those wanted. Its body is read and closed.
func (c *connection) ask(ctx context.Context, method, url string, header http.Header, want ...int) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	return c.answer(req, want...)
}

func (c *connection) answer(req *http.Request, want ...int) (*http.Response, error) {
	resp, err := c.do(req)
	if err != nil {
		return nil, unheard(err)
	}
	defer resp.Body.Close()
	for _, status := range want {
		if resp.StatusCode == status {
			io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
			return resp, nil
		}
	}
	return resp, refused(resp)
}

// unheard is a request that the registry did not answer, without the address's query,
// or a sign-in that was refused.
func unheard(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		path, _, _ := strings.Cut(u.URL, "?")
		err = fmt.Errorf("%s %s: %w", u.Op, path, u.Err)
	}
	if t, ok := errors.AsType[*transport.Error](err); ok && (t.StatusCode == http.StatusUnauthorized || t.StatusCode == http.StatusForbidden) {
		return fmt.Errorf("%w: %s", err, signIn)
	}
	return err
}

const signIn = "sign in with `docker login`, or whatever else writes Docker's configuration, as somebody who may write there"

// refusal is an answer that is not the one wanted.
type refusal struct {
	status int
	after  time.Duration // that the registry asks to wait
	text   string
}

func (r *refusal) Error() string { return r.text }

// refused reads what a registry says of an error, without the address, whose query
// may hold what opens an upload.
func refused(resp *http.Response) error {
	r := &refusal{status: resp.StatusCode}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		r.after = time.Duration(seconds) * time.Second
	}
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 600))
	r.text = fmt.Sprintf("the registry answered %s with %s %s", resp.Request.Method, resp.Status, strings.Join(strings.Fields(strings.ToValidUTF8(string(said), "?")), " "))
	r.text = strings.TrimSpace(r.text)
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		r.text += ": " + signIn
	}
	return r
}

// passing tells whether an error may be gone after a while, and how long to wait at least.
func passing(err error) (bool, time.Duration) {
	if r, ok := errors.AsType[*refusal](err); ok {
		return temporary(r.status), r.after
	}
	if t, ok := errors.AsType[*transport.Error](err); ok {
		return temporary(t.StatusCode), 0
	}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return false, 0
	}
	return !errors.Is(err, errSource) && !errors.Is(err, ErrOpen), 0
}

// status is what the registry answered, or who hands out its tokens; 0 without an answer.
func status(err error) int {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.status
	}
	if t, ok := errors.AsType[*transport.Error](err); ok {
		return t.StatusCode
	}
	return 0
}

func temporary(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500 && status != http.StatusNotImplemented
}

// errSource is a file that cannot be read any more as it was described.
var errSource = errors.New("the file changed or cannot be read")

// retry does a step again while its failures may pass. It counts them anew after
// a step that moved on, which says so.
func (c *connection) retry(ctx context.Context, step func() (moved bool, err error)) error {
	attempts := c.Attempts
	if attempts == 0 {
		attempts = 5
	}
	for failures := 1; ; failures++ {
		moved, err := step()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if moved {
			failures = 1
		}
		again, after := passing(err)
		if !again || failures >= attempts {
			return err
		}
		if err := c.pause(ctx, failures, after); err != nil {
			return err
		}
	}
}

func (c *connection) pause(ctx context.Context, failures int, asked time.Duration) error {
	pause := max(min(500*time.Millisecond<<min(failures-1, 6), 30*time.Second), min(asked, 2*time.Minute))
	if c.Backoff != nil {
		pause = c.Backoff(failures)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
		return nil
	}
}
