// Package cache keeps files by the hash of their contents and downloads those
// that are missing: in parallel, resumed where they stopped, from mirrors first,
// and verified. A blob appears under its name whole and right, or not at all, so
// that a process killed at any moment leaves the cache as it was.
package cache

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
)

// Cache is a folder of blobs and how to fill it. Several processes may use one
// folder at once.
type Cache struct {
	dir string
	// Client fetches what has no client of its own; see [NewClient].
	Client *http.Client
	// Mirrors are URL prefixes that are tried in order before a file's own URL:
	// https://mirror.example.org/files stands for files of every host, each below
	// the name of its host.
	Mirrors []string
	// MirrorsOnly leaves a file's own URL out where there are mirrors.
	MirrorsOnly bool
	// Offline fetches nothing: what is missing is an error that names all of it.
	Offline bool
	// Parallel is the number of files fetched at once; 4 when 0.
	Parallel int
	// Attempts is how often in a row a source may fail without giving a byte; 5 when 0.
	Attempts int
	// Backoff is how long to wait after so many failures in a row, from 1; doubling
	// from half a second when nil.
	Backoff func(failures int) time.Duration
	// Progress is told what arrives; silent when nil.
	Progress func(files int, bytes int64) Progress
}

// Open opens the cache in a folder, which need not exist yet.
func Open(dir string) *Cache { return &Cache{dir: dir} }

// Dir is the cache's folder.
func (c *Cache) Dir() string { return c.dir }

// partsDir holds what is unfinished, beside one folder of blobs per algorithm.
const partsDir = "partial"

func (c *Cache) blob(d Digest) string {
	return filepath.Join(c.dir, d.Algorithm(), d.Hex())
}

func (c *Cache) part(d Digest) string {
	return filepath.Join(c.dir, partsDir, d.Algorithm()+"-"+d.Hex())
}

// Has tells whether a blob is there, by its name alone.
func (c *Cache) Has(d Digest) bool {
	info, err := os.Stat(c.blob(d))
	return err == nil && info.Mode().IsRegular()
}

// Path is where a blob lies. Its contents are as they were when it was fetched;
// [Cache.Open] checks them again.
func (c *Cache) Path(d Digest) (string, error) {
	if !c.Has(d) {
		return "", fmt.Errorf("%s is not in the cache %s: run `imgforge fetch`", d, c.dir)
	}
	return c.blob(d), nil
}

// Open reads a blob of so many bytes. Reading it to its end fails when the disk
// no longer holds what was fetched.
func (c *Cache) Open(d Digest) (io.ReadCloser, int64, error) {
	f, err := os.Open(c.blob(d))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = c.Path(d)
		return nil, 0, err
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return &checked{file: f, cache: c, want: d, sum: d.newHash()}, info.Size(), nil
}

// Read is the contents of a small blob, checked.
func (c *Cache) Read(d Digest) ([]byte, error) {
	r, _, err := c.Open(d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Put keeps contents that are already in memory, under the digest that they must have.
func (c *Cache) Put(d Digest, data []byte) error {
	h := d.newHash()
	h.Write(data)
	if got := d.of(h); got != d {
		return fmt.Errorf("wanted %s, got %s: nothing was kept", d, got)
	}
	if err := os.MkdirAll(filepath.Dir(c.blob(d)), 0o755); err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	return artifact.WriteBytes(c.blob(d), 0o644, data)
}

// checked is a blob that is hashed while it is read.
type checked struct {
	file  *os.File
	cache *Cache
	want  Digest
	sum   hash.Hash
}

func (r *checked) Read(p []byte) (int, error) {
	n, err := r.file.Read(p)
	r.sum.Write(p[:n])
	if err == io.EOF {
		if got := r.want.of(r.sum); got != r.want {
			return n, r.cache.rotten(r.want, got)
		}
	}
	return n, err
}

func (r *checked) Close() error { return r.file.Close() }

func (c *Cache) rotten(want, got Digest) error {
	return fmt.Errorf("%s changed on the disk: it is %s now: run `imgforge cache verify --repair`, then `imgforge fetch`", c.blob(want), got)
}
