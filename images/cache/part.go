package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
)

// part is an unfinished blob that this process alone writes.
type part struct {
	cache *Cache
	want  Digest
	file  *os.File
	size  int64     // bytes written
	sum   hash.Hash // of those
	// resumed: some of the bytes are from an earlier connection or process.
	resumed bool
	from    origin
}

// origin is where the bytes of a part came from, so that only the same file is continued.
type origin struct {
	URL string `json:"url"`
	// Validator is a strong ETag or a date of change, for If-Range.
	Validator string `json:"validator,omitempty"`
}

// openPart waits until no other process writes this blob. It returns nil when
// the blob has appeared meanwhile.
func (c *Cache) openPart(ctx context.Context, d Digest) (*part, error) {
	for _, dir := range [...]string{filepath.Dir(c.blob(d)), filepath.Dir(c.part(d))} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make the cache: %w", err)
		}
	}
	for {
		if c.Has(d) {
			return nil, nil
		}
		f, err := os.OpenFile(c.part(d), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fmt.Errorf("open the cache: %w", err)
		}
		if err := lock(ctx, f); err != nil {
			f.Close()
			return nil, err
		}
		// Whoever held the lock before may have finished or thrown away this very file.
		if !same(f, c.part(d)) || c.Has(d) {
			f.Close()
			continue
		}
		p := &part{cache: c, want: d, file: f}
		if err := p.load(); err != nil {
			f.Close()
			return nil, err
		}
		return p, nil
	}
}

// lock takes the file for this process, waiting for others.
func lock(ctx context.Context, f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func same(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

// load takes up what an earlier run left.
func (p *part) load() error {
	p.sum = p.want.newHash()
	n, err := io.Copy(p.sum, p.file)
	if err != nil {
		return fmt.Errorf("read %s: %w", p.file.Name(), err)
	}
	p.size, p.resumed = n, n > 0
	if data, err := os.ReadFile(p.originPath()); err == nil {
		// What cannot be read only means that the whole file is asked for again.
		if json.Unmarshal(data, &p.from) != nil {
			p.from = origin{}
		}
	}
	return nil
}

func (p *part) originPath() string { return p.cache.part(p.want) + ".from" }

// begin notes where the bytes to come are from; before the first of them, since
// bytes without an origin are not continued.
func (p *part) begin(o origin) error {
	if p.from == o {
		return nil
	}
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	p.from = o
	return artifact.WriteBytes(p.originPath(), 0o644, data)
}

func (p *part) Write(b []byte) (int, error) {
	n, err := p.file.WriteAt(b, p.size)
	p.sum.Write(b[:n])
	p.size += int64(n)
	if err != nil {
		return n, &localError{fmt.Errorf("write to the cache %s: %w: free some space there, or name another folder with --cache; what arrived is kept", p.cache.dir, errors.Unwrap(err))}
	}
	return n, nil
}

// restart drops all bytes.
func (p *part) restart() error {
	p.sum.Reset()
	p.size, p.resumed = 0, false
	return p.file.Truncate(0)
}

// commit gives the blob its name. Its contents were checked.
func (p *part) commit() error {
	if err := p.file.Sync(); err != nil {
		return &localError{fmt.Errorf("write to the cache: %w", err)}
	}
	if err := os.Rename(p.cache.part(p.want), p.cache.blob(p.want)); err != nil {
		return &localError{fmt.Errorf("write to the cache: %w", err)}
	}
	os.Remove(p.originPath()) // a note on nothing, harmless
	return syncDir(filepath.Dir(p.cache.blob(p.want)))
}

// drop removes everything that arrived.
func (p *part) drop() {
	os.Remove(p.originPath())
	os.Remove(p.cache.part(p.want))
}

// close lets the lock go. A part without a byte is not worth keeping.
func (p *part) close() {
	if p.size == 0 && same(p.file, p.cache.part(p.want)) {
		p.drop()
	}
	p.file.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

// localError is a fault of this machine, which no other source helps against.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }
