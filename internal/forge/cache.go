package forge

import (
	"fmt"
	"strings"

	"github.com/imgforge/imgforge/images/cache"
)

// CacheView is what lies in the cache.
type CacheView struct {
	Dir   string       `json:"dir"`
	Blobs []cache.Blob `json:"blobs"`
}

// Summary counts it.
func (v *CacheView) Summary() string {
	var size int64
	for _, b := range v.Blobs {
		size += b.Size
	}
	return fmt.Sprintf("%s, %s in %s", Counted(len(v.Blobs), "file"), cache.Bytes(size), v.Dir)
}

// CacheList lists the cache.
func (a *App) CacheList(o DownloadOptions) (*CacheView, error) {
	c, err := a.cache(o)
	if err != nil {
		return nil, err
	}
	blobs, err := c.List()
	if blobs == nil {
		blobs = []cache.Blob{}
	}
	return &CacheView{Dir: c.Dir(), Blobs: blobs}, err
}

// CacheVerdict is what verifying found.
type CacheVerdict struct {
	Good []string
	Bad  string // empty when nothing is damaged any more
}

// CacheVerify reads every blob again. With repair it removes what is damaged.
func (a *App) CacheVerify(o DownloadOptions, repair bool) (*CacheVerdict, error) {
	view, err := a.CacheList(o)
	if err != nil {
		return nil, err
	}
	c, err := a.cache(o)
	if err != nil {
		return nil, err
	}
	damaged, err := c.Damaged()
	if err != nil {
		return nil, err
	}
	if len(damaged) == 0 {
		return &CacheVerdict{Good: []string{"nothing is damaged: " + view.Summary()}}, nil
	}
	var names []string
	for _, b := range damaged {
		names = append(names, string(b.Digest)+": its contents changed on the disk")
	}
	if !repair {
		return &CacheVerdict{Bad: strings.Join(names, "\n") + "\n" + Counted(len(damaged), "damaged file") + "; run `imgforge cache verify --repair`, then `imgforge fetch`"}, nil
	}
	if err := c.Remove(damaged); err != nil {
		return nil, err
	}
	return &CacheVerdict{Good: append(names, "removed "+Counted(len(damaged), "damaged file")+"; run `imgforge fetch`")}, nil
}

// CachePrune removes what a lock does not name.
func (a *App) CachePrune(o LockOptions) (string, error) {
	o.Offline = true
	l, err := a.locking(o)
	if err != nil {
		return "", err
	}
	found, err := l.present()
	if err != nil {
		return "", err
	}
	files, err := found.Files(l.resolver.Registry)
	if err != nil {
		return "", err
	}
	keep := map[cache.Digest]bool{}
	for _, f := range files {
		keep[f.Digest] = true
	}
	gone, freed, err := l.resolver.Cache.Prune(keep)
	return fmt.Sprintf("removed %s, %s freed in %s", Counted(len(gone), "file"), cache.Bytes(freed), l.resolver.Cache.Dir()), err
}
