package cache

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// stall is how long a server may send nothing before the connection is given up.
const stall = 60 * time.Second

// NewClient is an HTTP client that goes through the proxy that the environment
// names and trusts the system's authorities and those of PEM besides. Its
// transport can be wrapped.
func NewClient(authorities []byte) (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone() // honours HTTPS_PROXY and its kind
	t.ResponseHeaderTimeout = stall
	t.MaxIdleConnsPerHost = 8
	// Contents are compared as they were published.
	t.DisableCompression = true
	if len(authorities) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(authorities) {
			return nil, errors.New("the file of authorities holds no certificate in PEM")
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: t}, nil
}

func (c *Cache) client(s Source) *http.Client {
	switch {
	case s.Client != nil:
		return s.Client
	case c.Client != nil:
		return c.Client
	}
	return http.DefaultClient
}

func setHeaders(req *http.Request) {
	req.Header.Set("User-Agent", "imgforge")
	req.Header.Set("Accept-Encoding", "identity")
}

// sources are the places of a file in the order in which they are tried.
func (c *Cache) sources(f File) []Source {
	if len(f.From) > 0 {
		return f.From
	}
	var out []Source
	for _, u := range c.urls(f.URL) {
		out = append(out, Source{URL: u})
	}
	return out
}

// urls are a URL's mirrors and the URL itself.
func (c *Cache) urls(raw string) []string {
	var out []string
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		for _, m := range c.Mirrors {
			out = append(out, strings.TrimSuffix(m, "/")+"/"+u.Host+u.EscapedPath())
		}
	}
	if c.MirrorsOnly && len(out) > 0 {
		return out
	}
	return append(out, raw)
}

// patience is how many failures in a row a place may have. One that has another
// behind it gets two: a mirror that is down must not hold up every file.
func (c *Cache) patience(last bool) int {
	attempts := cmp.Or(c.Attempts, 5)
	if !last {
		return min(attempts, 2)
	}
	return attempts
}

// wait is the pause after a failure.
func (c *Cache) wait(ctx context.Context, failures int, asked time.Duration) error {
	pause := min(500*time.Millisecond<<min(failures-1, 6), 30*time.Second)
	if c.Backoff != nil {
		pause = c.Backoff(failures)
	} else if asked > pause {
		pause = min(asked, 2*time.Minute)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
		return nil
	}
}

// requestError tells a cut connection, which may come back, from the end of the work.
func requestError(ctx context.Context, url string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, errStalled) {
			return &temporary{err: fmt.Errorf("%s: %w", url, cause)}
		}
		return cause
	}
	// An authority that is not trusted stays so, however often one asks.
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return fmt.Errorf("%w: name the authority's certificate with --ca", trim(url, err))
	}
	return &temporary{err: trim(url, err)}
}

// trim puts the URL in front of an error once.
func trim(at string, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("%s: %w", at, err)
}

// NotFound is a source that answered and does not have the file.
type NotFound struct{ URL, Status string }

func (e *NotFound) Error() string { return e.URL + ": " + e.Status }

// statusError judges an answer that is no file.
func statusError(resp *http.Response, url string) error {
	err := fmt.Errorf("%s: %s", url, resp.Status)
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound || code == http.StatusGone || code == http.StatusForbidden:
		return &NotFound{URL: url, Status: resp.Status}
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		after, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // a date is as good as nothing
		return &temporary{err: err, after: time.Duration(after) * time.Second}
	}
	return err
}

var errStalled = fmt.Errorf("nothing came for %s", stall)

// watchdog ends a request during which nothing comes.
type watchdog struct{ timer *time.Timer }

func newWatchdog(stop context.CancelCauseFunc) *watchdog {
	return &watchdog{time.AfterFunc(stall, func() { stop(errStalled) })}
}

func (w *watchdog) alive() { w.timer.Reset(stall) }
func (w *watchdog) end()   { w.timer.Stop() }

// Get fetches a small document of at most limit bytes, from the mirrors first.
// Nothing is known of its contents: callers check a signature or compare hashes.
func (c *Cache) Get(ctx context.Context, at string, limit int64) ([]byte, error) {
	var out []byte
	err := c.ask(ctx, at, "", func(resp *http.Response) error {
		data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
		if err != nil {
			return &temporary{err: trim(at, err)}
		}
		if int64(len(data)) > limit {
			return fmt.Errorf("%s: it is longer than %d bytes", at, limit)
		}
		out = data
		return nil
	})
	return out, err
}

// Size asks how many bytes a file has; 0 when the server does not say. It asks for
// the first byte, since many a server signs its links for GET alone.
func (c *Cache) Size(ctx context.Context, at string) (int64, error) {
	var size int64
	err := c.ask(ctx, at, "bytes=0-0", func(resp *http.Response) error {
		size = max(resp.ContentLength, 0)
		if resp.StatusCode == http.StatusPartialContent {
			_, total, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
			size, _ = strconv.ParseInt(total, 10, 64) // * is unknown
		}
		return nil
	})
	return size, err
}

// ask asks every place of a URL for it, or a part of it, until one answers.
func (c *Cache) ask(ctx context.Context, at, part string, use func(*http.Response) error) error {
	if c.Offline {
		return fmt.Errorf("%s: not asked for, since --offline fetches nothing", at)
	}
	var errs []error
	urls := c.urls(at)
	for i, u := range urls {
		err := c.askOne(ctx, u, c.patience(i == len(urls)-1), part, use)
		if err == nil || ctx.Err() != nil {
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c *Cache) askOne(ctx context.Context, at string, attempts int, part string, use func(*http.Response) error) error {
	for failures := 1; ; failures++ {
		err := c.once(ctx, at, part, use)
		t, again := errors.AsType[*temporary](err)
		if !again || ctx.Err() != nil {
			return err
		}
		if failures >= attempts {
			return fmt.Errorf("%w (tried %d times)", t.err, failures)
		}
		if err := c.wait(ctx, failures, t.after); err != nil {
			return err
		}
	}
}

func (c *Cache) once(ctx context.Context, at, part string, use func(*http.Response) error) error {
	ctx, stop := context.WithTimeoutCause(ctx, 2*time.Minute, errStalled)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	setHeaders(req)
	if part != "" {
		req.Header.Set("Range", part)
	}
	resp, err := c.client(Source{}).Do(req)
	if err != nil {
		return requestError(ctx, at, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && (part == "" || resp.StatusCode != http.StatusPartialContent) {
		return statusError(resp, at)
	}
	return use(resp)
}
