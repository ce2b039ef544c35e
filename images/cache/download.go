package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Source is one place that a file can be had from.
type Source struct {
	URL string
	// Client fetches it; nil means the cache's.
	Client *http.Client
}

// Corrupt is the error of a source that gave something else than what is wanted.
type Corrupt struct {
	URL       string
	Want, Got Digest
}

func (e *Corrupt) Error() string {
	return fmt.Sprintf("%s: wanted %s, got %s: nothing was kept", e.URL, e.Want, e.Got)
}

// temporary is a failure that may pass by itself.
type temporary struct {
	err   error
	after time.Duration // what the server asked for; 0 when it did not
}

func (e *temporary) Error() string { return e.err.Error() }
func (e *temporary) Unwrap() error { return e.err }

// download fetches one file from the first of its sources that gives it.
func (c *Cache) download(ctx context.Context, f File, tell func(int64)) error {
	p, err := c.openPart(ctx, f.Digest)
	if err != nil {
		return err
	}
	if p == nil { // another process was faster
		tell(f.Size)
		return nil
	}
	defer p.close()
	if f.Size > 0 && p.size > f.Size {
		if err := p.restart(); err != nil {
			return err
		}
	}
	tell(p.size)
	var errs []error
	sources := c.sources(f)
	for i, src := range sources {
		err := c.downloadFrom(ctx, src, c.patience(i == len(sources)-1), f, p, tell)
		if err == nil {
			return nil
		}
		if _, local := errors.AsType[*localError](err); local || ctx.Err() != nil {
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// downloadFrom asks one source until it gave everything or is not worth asking again.
// A failure counts only when no byte came since the last one.
func (c *Cache) downloadFrom(ctx context.Context, src Source, attempts int, f File, p *part, tell func(int64)) error {
	failures := 0
	for {
		before := p.size
		err := c.attempt(ctx, src, f, p, tell)
		t, again := errors.AsType[*temporary](err)
		if !again || ctx.Err() != nil {
			return err
		}
		failures++
		if p.size > before {
			failures = 1
		}
		if failures >= attempts {
			return fmt.Errorf("%w (tried %d times)", t.err, failures)
		}
		if err := c.wait(ctx, failures, t.after); err != nil {
			return err
		}
	}
}

// attempt is one request: it continues what is there, and judges what is whole.
func (c *Cache) attempt(ctx context.Context, src Source, f File, p *part, tell func(int64)) error {
	if f.Size == 0 || p.size < f.Size {
		if err := c.request(ctx, src, f, p, tell); err != nil {
			return err
		}
	}
	got := f.Digest.of(p.sum)
	if got == f.Digest {
		return p.commit()
	}
	tell(-p.size)
	resumed := p.resumed
	if err := p.restart(); err != nil {
		return &localError{err}
	}
	if resumed { // the old bytes may be to blame: once more, from the start
		return &temporary{err: fmt.Errorf("%s: what an earlier download left does not fit", src.URL)}
	}
	return &Corrupt{URL: src.URL, Want: f.Digest, Got: got}
}

// request appends to the part what the source sends.
func (c *Cache) request(ctx context.Context, src Source, f File, p *part, tell func(int64)) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, src.URL, nil)
	if err != nil {
		return err
	}
	setHeaders(req)
	if p.size > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(p.size, 10)+"-")
		if p.from.URL == src.URL && p.from.Validator != "" {
			req.Header.Set("If-Range", p.from.Validator)
		}
	}
	watch := newWatchdog(stop)
	defer watch.end()
	resp, err := c.client(src).Do(req)
	if err != nil {
		return requestError(ctx, src.URL, err)
	}
	defer resp.Body.Close()
	if err := p.align(resp, src.URL, tell); err != nil {
		return err
	}
	if whole := p.size + resp.ContentLength; f.Size > 0 && resp.ContentLength >= 0 && whole != f.Size {
		return fmt.Errorf("%s: the file there has %d bytes, and %s has %d: nothing of it was kept", src.URL, whole, f.Digest, f.Size)
	}
	if err := p.begin(origin{URL: src.URL, Validator: validator(resp.Header)}); err != nil {
		return &localError{err}
	}
	body := io.Reader(resp.Body)
	if f.Size > 0 { // one byte more than wanted is enough to know that it is wrong
		body = io.LimitReader(body, f.Size-p.size+1)
	}
	_, err = io.Copy(&told{p, tell, watch}, body)
	if local, ok := errors.AsType[*localError](err); ok {
		return local
	}
	if err != nil {
		return requestError(ctx, src.URL, err)
	}
	if f.Size > 0 && p.size < f.Size {
		return &temporary{err: fmt.Errorf("%s: the connection ended after %d of %d bytes", src.URL, p.size, f.Size)}
	}
	return nil
}

// align makes the part end where the answer begins.
func (p *part) align(resp *http.Response, url string, tell func(int64)) error {
	switch {
	case resp.StatusCode == http.StatusPartialContent && p.size > 0:
		if strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", p.size)) {
			p.resumed = true
			return nil
		}
	case resp.StatusCode == http.StatusOK:
		if p.size == 0 {
			return nil
		}
		tell(-p.size)
		if err := p.restart(); err != nil {
			return &localError{err}
		}
		return nil
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && p.size > 0:
	default:
		return statusError(resp, url)
	}
	tell(-p.size)
	if err := p.restart(); err != nil {
		return &localError{err}
	}
	return &temporary{err: fmt.Errorf("%s: the server cannot continue what was begun", url)}
}

// told counts what is written and keeps the watchdog awake.
type told struct {
	p     *part
	tell  func(int64)
	watch *watchdog
}

func (t *told) Write(b []byte) (int, error) {
	n, err := t.p.Write(b)
	t.tell(int64(n))
	t.watch.alive()
	return n, err
}

// validator is what If-Range takes: an ETag that promises the same bytes, or the date.
func validator(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return h.Get("Last-Modified")
}
