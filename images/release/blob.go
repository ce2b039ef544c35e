package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// part is what is sent at once after a connection broke, in bytes.
	part = 32 << 20
	// stall is how long a registry may take nothing before the connection is given up.
	stall = 60 * time.Second
)

// blob puts a file into the repository, unless it is there. sent is told what was
// sent, in bytes; less than nothing when it has to be sent again.
func (c *connection) blob(ctx context.Context, digest string, size int64, source func() (io.ReaderAt, func() error, error), sent func(int64)) (there bool, err error) {
	u := &upload{c: c, digest: digest, size: size, sent: sent}
	first := true
	err = c.retry(ctx, func() (bool, error) {
		found, err := c.has(ctx, "blobs/"+digest, nil)
		if err != nil || found {
			there = first && found
			return false, err
		}
		first = false
		r, done, err := source()
		if err != nil {
			return false, fmt.Errorf("%w: %w", errSource, err)
		}
		defer done()
		return u.attempt(ctx, r)
	})
	return there, err
}

// has asks whether the repository has something.
func (c *connection) has(ctx context.Context, path string, header http.Header) (bool, error) {
	resp, err := c.ask(ctx, http.MethodHead, c.url(path), header, http.StatusOK, http.StatusNotFound)
	return err == nil && resp.StatusCode == http.StatusOK, err
}

// upload is a file on its way.
type upload struct {
	c      *connection
	digest string
	size   int64
	sent   func(int64)
	at     *url.URL // where the registry takes it; nil before it was asked
	have   int64    // what it has, in bytes
	best   int64    // the most that it ever had
	broken bool
}

// attempt goes on where the registry says that it stands, or begins. moved tells
// that the registry has more than it ever had: one that forgets what it has at each
// failure is not asked for ever.
func (u *upload) attempt(ctx context.Context, r io.ReaderAt) (moved bool, err error) {
	before, best := u.have, u.best
	defer func() {
		u.broken = err != nil
		u.best = max(best, u.have)
		moved = u.best > best
	}()
	if err := u.stand(ctx); err != nil {
		return false, err
	}
	u.sent(u.have - before)
	for u.have < u.size {
		n := u.size - u.have
		if u.broken {
			n = min(n, part)
		}
		if err := u.piece(ctx, r, n); err != nil {
			return false, err
		}
	}
	return false, u.finish(ctx)
}

// stand asks how far an upload that broke has come. One that the registry does not
// know any more begins again.
func (u *upload) stand(ctx context.Context) error {
	if u.at != nil {
		resp, err := u.c.ask(ctx, http.MethodGet, u.at.String(), nil, http.StatusNoContent)
		if err == nil {
			have, ok := received(resp.Header.Get("Range"))
			if ok && have <= u.size && u.move(resp) == nil {
				u.have = have
				return nil
			}
		} else if again, _ := passing(err); again {
			return err
		}
		u.at, u.have = nil, 0
	}
	resp, err := u.c.ask(ctx, http.MethodPost, u.c.url("blobs/uploads/"), nil, http.StatusAccepted)
	if err != nil {
		return err
	}
	u.have = 0
	return u.move(resp)
}

// received reads the Range of an upload, 0-LAST. Registries say 0-0 of one byte and
// of none: then none is safe, since a range that does not fit is refused.
func received(text string) (int64, bool) {
	first, last, ok := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	n, err := strconv.ParseInt(last, 10, 64)
	if !ok || first != "0" || err != nil || n < 0 {
		return 0, false
	}
	if n == 0 {
		return 0, true
	}
	return n + 1, true
}

// move follows the upload to where its next request goes.
func (u *upload) move(resp *http.Response) error {
	at, err := resp.Location()
	if err != nil {
		return errors.New("the registry does not say where the upload goes on")
	}
	u.at = at
	return nil
}

// piece sends the next n bytes.
func (u *upload) piece(ctx context.Context, r io.ReaderAt, n int64) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	body := func() (io.ReadCloser, error) {
		return &watched{r: io.NewSectionReader(r, u.have, n), timer: time.AfterFunc(stall, func() { stop(errStalled) })}, nil
	}
	first, err := body()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, u.at.String(), first)
	if err != nil {
		return err
	}
	req.GetBody, req.ContentLength = body, n
	req.Header.Set("Content-Type", "application/octet-stream")
	if u.have > 0 || n < u.size {
		req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", u.have, u.have+n-1))
	}
	resp, err := u.c.answer(req, http.StatusAccepted, http.StatusNoContent)
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	if err != nil {
		return err
	}
	u.have += n
	u.sent(n)
	return u.move(resp)
}

var errStalled = fmt.Errorf("the registry took nothing for %s", stall)

// watched ends a request whose body nobody reads. Once all of it is read, the
// registry may think for as long as the transport lets it.
type watched struct {
	r     io.Reader
	timer *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil {
		w.timer.Stop()
	} else {
		w.timer.Reset(stall)
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	return nil
}

// finish has the registry check the digest and keep the file.
func (u *upload) finish(ctx context.Context) error {
	at := *u.at
	q := at.Query()
	q.Set("digest", u.digest)
	at.RawQuery = q.Encode()
	_, err := u.c.ask(ctx, http.MethodPut, at.String(), http.Header{"Content-Type": {"application/octet-stream"}}, http.StatusCreated, http.StatusNoContent)
	if r, ok := errors.AsType[*refusal](err); ok && r.status == http.StatusBadRequest {
		u.sent(-u.have)
		return fmt.Errorf("%w: what arrived is not what manifest.json describes: %w", errSource, err)
	}
	return err
}

// open reads a file of a release.
func (f File) open() (io.ReaderAt, func() error, error) {
	r, err := os.Open(f.Source)
	if err != nil {
		return nil, nil, err
	}
	info, err := r.Stat()
	if err == nil && info.Size() != f.Size {
		err = fmt.Errorf("it has %d bytes, not %d", info.Size(), f.Size)
	}
	if err != nil {
		r.Close()
		return nil, nil, err
	}
	return r, r.Close, nil
}
