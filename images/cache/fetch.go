package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
)

// File is something to have in the cache.
type File struct {
	// Name is what people call it.
	Name string
	URL  string
	// From are its places when they are not URL and the cache's mirrors.
	From   []Source
	Size   int64 // bytes; 0 when unknown
	Digest Digest
}

// Missing is the error of a cache that may fetch nothing and lacks something.
type Missing struct {
	Dir   string
	Files []File
}

func (e *Missing) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the cache %s lacks %d of what is needed, and --offline fetches nothing:", e.Dir, len(e.Files))
	for _, f := range e.Files {
		fmt.Fprintf(&b, "\n  %s  %s  %s", f.Name, f.Digest, cmp.Or(f.URL, "(no URL)"))
	}
	b.WriteString("\nrun `imgforge fetch` where there is a network, with --cache on a folder that you can carry over")
	return b.String()
}

// Lacks are the files that are not in the cache, each once and sorted by name.
func (c *Cache) Lacks(files []File) []File {
	var out []File
	seen := map[Digest]bool{}
	for _, f := range files {
		if !seen[f.Digest] && !c.intact(f) {
			out = append(out, f)
		}
		seen[f.Digest] = true
	}
	slices.SortFunc(out, func(a, b File) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Digest, b.Digest))
	})
	return out
}

// intact tells whether a blob is there with the right length, which a damaged
// file system may have changed; contents are checked when they are read.
func (c *Cache) intact(f File) bool {
	info, err := os.Stat(c.blob(f.Digest))
	return err == nil && info.Mode().IsRegular() && (f.Size == 0 || info.Size() == f.Size)
}

// Fetch brings every file into the cache, and reports everything that failed.
// What arrived stays, so that running it again continues.
func (c *Cache) Fetch(ctx context.Context, files []File) error {
	missing := c.Lacks(files)
	if len(missing) == 0 {
		return nil
	}
	if c.Offline {
		return &Missing{Dir: c.dir, Files: missing}
	}
	for _, f := range missing {
		os.Remove(c.blob(f.Digest)) // of the wrong length, or not there
	}
	progress := c.progress(missing)
	defer progress.End()
	return c.fetchAll(ctx, missing, progress)
}

func (c *Cache) progress(files []File) Progress {
	if c.Progress == nil {
		return silent{}
	}
	var total int64
	for _, f := range files {
		total += f.Size
	}
	return c.Progress(len(files), total)
}

func (c *Cache) fetchAll(ctx context.Context, files []File, progress Progress) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan int)
	errs := make([]error, len(files))
	var group sync.WaitGroup
	for range min(cmp.Or(c.Parallel, 4), len(files)) {
		group.Go(func() {
			for i := range work {
				errs[i] = c.fetchOne(ctx, files[i], progress)
				if local, ok := errors.AsType[*localError](errs[i]); ok {
					stop(local) // a full disk is full for all of them
				}
			}
		})
	}
	for i := range files {
		work <- i
	}
	close(work)
	group.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errors.Join(errs...)
}

func (c *Cache) fetchOne(ctx context.Context, f File, progress Progress) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := c.download(ctx, f, progress.Add); err != nil {
		return fmt.Errorf("fetch %s: %w", f.Name, err)
	}
	progress.Done(f.Name)
	return nil
}
