package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Progress is told what is sent, as the cache's is told what arrives. Add may take
// back what was counted.
type Progress interface {
	Add(bytes int64)
	Done(name string)
	End()
}

type silent struct{}

func (silent) Add(int64)   {}
func (silent) Done(string) {}
func (silent) End()        {}

// Pushed is what a push did.
type Pushed struct {
	// Digest names the index: pull by it.
	Digest string
	Tag    string
	// Already tells that digest and tag were there, and nothing was done.
	Already bool
	// Sent counts the files that were sent, Present those that were there.
	Sent, Present int
}

// Halted is a push that ended before its end, with what exists now.
type Halted struct {
	Err         error
	Done, Files int
	// Named tells that the registry had taken the index, and may have made the tag.
	Named bool
}

func (h *Halted) Unwrap() error { return h.Err }

func (h *Halted) Error() string {
	now := fmt.Sprintf("%d of %d files are in the registry, and no tag or index names them yet", h.Done, h.Files)
	switch {
	case h.Named:
		now = "all files are in the registry, and whether the index is there as well is not known"
	case h.Done == 0:
		now = "nothing of this release was put into the registry"
	}
	return fmt.Sprintf("%v\n%s; run it again: what is there is not sent twice", h.Err, now)
}

// Push puts a release into a repository: the files, their artifacts, then the index
// under its tag, so that nothing names what is not whole. Secret files go last, once
// somebody without credentials was seen to be refused what is there already. An
// error that leaves something behind is a [Halted]. A nil progress is told nothing.
func Push(ctx context.Context, t Target, s Set, p Progress) (*Pushed, error) {
	if p == nil {
		p = silent{}
	}
	defer p.End()
	fail := func(err error) (*Pushed, error) { return nil, fmt.Errorf("publish to %s: %w", t.Repository, err) }
	files, manifests, index, err := s.objects()
	if err != nil {
		return fail(err)
	}
	c, err := t.connect(ctx, transport.PushScope)
	if err != nil {
		return fail(err)
	}
	out := &Pushed{Digest: index.Digest, Tag: s.Tag()}
	w := &writer{c: c, files: files, manifests: manifests, index: index, progress: p, out: out}
	if out.Already, err = w.named(ctx); err != nil {
		return fail(&Halted{Err: err, Files: len(files)})
	}
	if out.Already {
		return out, nil
	}
	if err := w.all(ctx); err != nil {
		return fail(&Halted{Err: err, Done: out.Sent + out.Present, Files: len(files), Named: w.last})
	}
	return out, nil
}

// writer is a push under way.
type writer struct {
	c         *connection
	files     []File
	manifests []object
	index     object
	progress  Progress
	out       *Pushed
	checked   bool // that secrets are safe
	last      bool // the index is being put
}

func accept() http.Header { return http.Header{"Accept": {indexType, manifestType}} }

// named tells whether the tag names this release.
func (w *writer) named(ctx context.Context) (found bool, err error) {
	err = w.c.retry(ctx, func() (bool, error) {
		resp, err := w.c.ask(ctx, http.MethodHead, w.c.url("manifests/"+w.out.Tag), accept(), http.StatusOK, http.StatusNotFound)
		found = err == nil && resp.StatusCode == http.StatusOK && resp.Header.Get("Docker-Content-Digest") == w.index.Digest
		return false, err
	})
	return found, err
}

func (w *writer) all(ctx context.Context) error {
	nothing := empty()
	config := func() (io.ReaderAt, func() error, error) {
		return bytes.NewReader(nothing.Data), func() error { return nil }, nil
	}
	if _, err := w.c.blob(ctx, nothing.Digest, nothing.Size, config, func(int64) {}); err != nil {
		return err
	}
	for i, f := range w.files {
		if f.Secret && !w.checked {
			if err := w.closed(ctx, w.manifests[:i]); err != nil {
				return err
			}
			w.checked = true
		}
		there, err := w.c.blob(ctx, f.digest(), f.Size, f.open, w.progress.Add)
		if err == nil {
			err = w.put(ctx, w.manifests[i], w.manifests[i].Digest)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Title, err)
		}
		if there {
			w.progress.Add(f.Size)
			w.out.Present++
		} else {
			w.out.Sent++
		}
		w.progress.Done(f.Title)
	}
	w.last = true
	return w.put(ctx, w.index, w.out.Tag)
}

// put writes a document under a digest or tag, unless that names it already.
func (w *writer) put(ctx context.Context, o object, as string) error {
	return w.c.retry(ctx, func() (bool, error) {
		if as == o.Digest {
			if found, err := w.c.has(ctx, "manifests/"+as, accept()); err != nil || found {
				return false, err
			}
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, w.c.url("manifests/"+as), bytes.NewReader(o.data))
		if err != nil {
			return false, err
		}
		req.Header.Set("Content-Type", o.MediaType)
		_, err = w.c.answer(req, http.StatusCreated, http.StatusOK, http.StatusAccepted)
		return false, err
	})
}

// ErrOpen means that secrets were to go where anybody can read them.
var ErrOpen = errors.New("anybody can read what is in this repository")

// closed asks, without credentials, for an artifact that was just put there.
// Registries answer that it is forbidden, or hide that it exists.
func (w *writer) closed(ctx context.Context, public []object) error {
	if len(public) == 0 {
		return errors.New("there is no public file by which to tell whether the repository is private")
	}
	probe := public[0]
	return w.c.retry(ctx, func() (bool, error) {
		a := w.c.anonymous()
		_, err := a.ask(ctx, http.MethodHead, a.url("manifests/"+probe.Digest), accept(), http.StatusOK)
		if err == nil {
			return false, fmt.Errorf("%w: make it private first; nothing secret was sent", ErrOpen)
		}
		switch status(err) {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
			return false, nil
		}
		return false, fmt.Errorf("whether the repository is private: %w", err)
	})
}
