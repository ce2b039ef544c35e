package cache

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Blob is one file of the cache.
type Blob struct {
	Digest Digest `json:"digest"`
	Size   int64  `json:"size"` // bytes
}

// List is every finished blob, sorted by digest.
func (c *Cache) List() ([]Blob, error) {
	var out []Blob
	for _, algorithm := range [...]string{SHA256, SHA512} {
		entries, err := os.ReadDir(filepath.Join(c.dir, algorithm))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list the cache: %w", err)
		}
		for _, e := range entries {
			d, err := ParseDigest(algorithm + ":" + e.Name())
			if err != nil {
				continue // an unfinished write of a small file
			}
			info, err := e.Info()
			if err != nil {
				return nil, fmt.Errorf("list the cache: %w", err)
			}
			out = append(out, Blob{d, info.Size()})
		}
	}
	slices.SortFunc(out, func(a, b Blob) int { return cmp.Compare(a.Digest, b.Digest) })
	return out, nil
}

// Damaged are the blobs whose contents are not what their names say.
func (c *Cache) Damaged() ([]Blob, error) {
	blobs, err := c.List()
	if err != nil {
		return nil, err
	}
	var out []Blob
	for _, b := range blobs {
		f, err := os.Open(c.blob(b.Digest))
		if err != nil {
			return nil, err
		}
		h := b.Digest.newHash()
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil || b.Digest.of(h) != b.Digest {
			out = append(out, b)
		}
	}
	return out, nil
}

// Remove forgets blobs.
func (c *Cache) Remove(blobs []Blob) error {
	var errs []error
	for _, b := range blobs {
		if err := os.Remove(c.blob(b.Digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Prune removes what keep does not name, and unfinished downloads that nobody
// is at. It returns what went, and the bytes of both.
func (c *Cache) Prune(keep map[Digest]bool) (gone []Blob, freed int64, err error) {
	blobs, err := c.List()
	if err != nil {
		return nil, 0, err
	}
	for _, b := range blobs {
		if !keep[b.Digest] {
			gone = append(gone, b)
			freed += b.Size
		}
	}
	if err := c.Remove(gone); err != nil {
		return nil, 0, err
	}
	parts, err := c.pruneParts(keep)
	return gone, freed + parts, err
}

func (c *Cache) pruneParts(keep map[Digest]bool) (freed int64, err error) {
	dir := filepath.Join(c.dir, partsDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("list the cache: %w", err)
	}
	for _, e := range entries {
		d, err := ParseDigest(strings.Replace(e.Name(), "-", ":", 1))
		if err != nil || keep[d] {
			continue
		}
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // finished meanwhile
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			if info, err := f.Stat(); err == nil {
				freed += info.Size()
			}
			os.Remove(f.Name() + ".from")
			os.Remove(f.Name())
		}
		f.Close()
	}
	return freed, nil
}
