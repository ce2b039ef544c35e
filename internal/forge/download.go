package forge

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/lock"
	"github.com/imgforge/imgforge/images/registry"
)

// DownloadOptions say how downloads are made.
type DownloadOptions struct {
	// Cache is the cache's folder; "" means the user's own.
	Cache   string
	Offline bool
	// Mirrors are URL prefixes tried first; those of IMGFORGE_MIRRORS when empty.
	Mirrors []string
	// MirrorsOnly never asks a file's or an image's own place where a mirror is named.
	MirrorsOnly bool
	// CA and Keys are files: authorities in PEM for downloads, and OpenPGP keys that
	// are trusted besides the catalogue's.
	CA, Keys string
	Parallel int
	// Progress is where downloads show; nil shows nothing. On a terminal it is a bar.
	Progress io.Writer
	Terminal bool
}

// resolver connects a cluster with its cache, mirrors and registries.
func (a *App) resolver(c *cluster, o DownloadOptions) (*lock.Resolver, error) {
	blobs, err := a.cache(o)
	if err != nil {
		return nil, err
	}
	registries, err := a.registries(c, o.Offline)
	if err != nil {
		return nil, err
	}
	reg, err := registry.New(blobs, registries)
	if err != nil {
		return nil, err
	}
	r := &lock.Resolver{Cache: blobs, Registry: reg, Now: a.Now(), Logf: a.logf}
	if o.Keys != "" {
		if r.Keys, err = os.ReadFile(o.Keys); err != nil {
			return nil, fmt.Errorf("read the public keys: %w", err)
		}
	}
	return r, nil
}

// cache opens the cache of downloads.
func (a *App) cache(o DownloadOptions) (*cache.Cache, error) {
	dir := o.Cache
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find the cache: %w: name a folder with --cache", err)
		}
		dir = filepath.Join(user, "imgforge", "blobs")
	}
	out := cache.Open(dir)
	out.Offline, out.Parallel, out.Mirrors = o.Offline, o.Parallel, o.Mirrors
	if len(out.Mirrors) == 0 {
		out.Mirrors = strings.Fields(a.Getenv("IMGFORGE_MIRRORS"))
	}
	out.MirrorsOnly = o.MirrorsOnly || a.Getenv("IMGFORGE_MIRRORS_ONLY") != ""
	for _, m := range out.Mirrors {
		if u, err := url.Parse(m); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, invalid("", fmt.Sprintf("the mirror %q is no URL", m), "write one such as https://mirror.example.org/files")
		}
	}
	var authorities []byte
	var err error
	if o.CA != "" {
		if authorities, err = os.ReadFile(o.CA); err != nil {
			return nil, fmt.Errorf("read the authorities: %w", err)
		}
	}
	if out.Client, err = cache.NewClient(authorities); err != nil {
		return nil, fmt.Errorf("%s: %w", o.CA, err)
	}
	switch {
	case o.Progress == nil:
	case o.Terminal:
		out.Progress = cache.Bar(o.Progress)
	default:
		out.Progress = cache.Lines(o.Progress)
	}
	return out, nil
}

// registries are those of the cluster file, with the passwords that the store
// holds. Offline nobody is asked, so no password is needed.
func (a *App) registries(c *cluster, offline bool) ([]registry.Registry, error) {
	var out []registry.Registry
	for _, r := range c.plan.Settings.Registries {
		reg := registry.Registry{Host: r.Host, Mirrors: r.Mirrors, CA: r.CA, Username: r.Username}
		if r.SecretKey != "" && !offline {
			st, err := a.storeOf(c)
			if err != nil {
				return nil, fmt.Errorf("the password of registry %s: %w", r.Host, err)
			}
			password, err := st.Secret(r.SecretKey)
			if err != nil {
				return nil, fmt.Errorf("the password of registry %s: %w", r.Host, err)
			}
			reg.Password = string(password)
		}
		out = append(out, reg)
	}
	return out, nil
}
