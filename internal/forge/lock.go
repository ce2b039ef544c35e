package forge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/debianbase"
	"github.com/imgforge/imgforge/images/lock"
	"github.com/imgforge/imgforge/images/sysext"
	"github.com/imgforge/imgforge/internal/artifact"
)

// LockName is the lock's name beside a cluster file.
const LockName = "imgforge.lock"

// LockOptions choose what is locked.
type LockOptions struct {
	Source Source
	// Lock is the file; "" means imgforge.lock beside the cluster file.
	Lock string
	DownloadOptions
	// Upgrade says what moves: name=version, or a name alone.
	Upgrade []string
}

// path is where the lock lies.
func (o LockOptions) path() (string, error) {
	if o.Lock != "" {
		return o.Lock, nil
	}
	if o.Source.File == "-" || o.Source.Example != "" {
		return "", errors.New("a cluster file from standard input has no lock beside it: name one with --lock")
	}
	return filepath.Join(filepath.Dir(o.Source.File), LockName), nil
}

// locking is one run over a cluster file and its lock.
type locking struct {
	*cluster
	path     string
	wanted   lock.Wanted
	resolver *lock.Resolver
}

func (a *App) locking(o LockOptions) (*locking, error) {
	path, err := o.path()
	if err != nil {
		return nil, err
	}
	c, err := a.load(o.Source, storeFacts(o.Source.storeDir()))
	if err != nil {
		return nil, err
	}
	wanted, err := c.wanted()
	if err != nil {
		return nil, err
	}
	l := &locking{cluster: c, path: path, wanted: wanted}
	l.resolver, err = a.resolver(c, o.DownloadOptions)
	return l, err
}

// read is the lock as it is; nil when there is none yet.
func (l *locking) read() (*lock.Located, error) {
	data, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the lock: %w", err)
	}
	found, err := lock.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.path, err)
	}
	return found, nil
}

// present is the lock, which must be there.
func (l *locking) present() (*lock.Located, error) {
	found, err := l.read()
	if err == nil && found == nil {
		err = fmt.Errorf("there is no lock at %s: run `imgforge lock`, and commit what it writes", l.path)
	}
	return found, err
}

// Locked is what locking did.
type Locked struct {
	Path    string
	Changes []string
	// Moved is the Kubernetes version that was written into the cluster file; "" when that did not change.
	Moved string
}

// Lock resolves everything that a cluster file needs and is not pinned yet. The
// lock is replaced in one step at the end; until then, and after any error, it is
// as it was.
func (a *App) Lock(ctx context.Context, o LockOptions) (*Locked, error) {
	up, err := upgrades(o.Upgrade)
	if err != nil {
		return nil, err
	}
	res, text := &Locked{}, []byte(nil)
	if version, ok := up[catalog.Kubernetes]; ok {
		if text, err = a.moveKubernetes(&o.Source, version); err != nil {
			return nil, err
		}
	}
	l, err := a.locking(o)
	if err != nil {
		return nil, err
	}
	old, err := l.read()
	if err != nil {
		return nil, err
	}
	var was *lock.Lock
	if old != nil {
		was = old.Lock
	}
	if was != nil && was.Cluster != l.wanted.Cluster {
		return nil, fmt.Errorf("%s is the lock of another cluster, %q, and this one is %q: name another one with --lock", l.path, was.Cluster, l.wanted.Cluster)
	}
	now, err := l.resolver.Resolve(ctx, l.wanted, was, up)
	if err != nil {
		return nil, fmt.Errorf("the lock %s was not changed: %w", l.path, err)
	}
	res.Path, res.Changes = l.path, lock.Changes(was, now)
	data, err := now.Encode()
	if err != nil {
		return nil, err
	}
	if text != nil { // first: a lock that is behind its cluster file is found by --check
		if err := replace(o.Source.File, text); err != nil {
			return nil, err
		}
		res.Moved = now.Kubernetes
	}
	return res, artifact.WriteBytes(l.path, 0o644, data)
}

// replace writes a file that is there, with the permission that it has.
func replace(path string, data []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return artifact.WriteBytes(path, info.Mode().Perm(), data)
}

// upgrades reads name=version.
func upgrades(args []string) (lock.Upgrade, error) {
	up := lock.Upgrade{}
	for _, arg := range args {
		name, version, _ := strings.Cut(arg, "=")
		if !slices.Contains(lock.UpgradeNames(), name) {
			return nil, invalid("", fmt.Sprintf("--upgrade %s: nothing is called %q", arg, name), "write one of "+strings.Join(lock.UpgradeNames(), ", ")+", with =VERSION or without")
		}
		if name == catalog.Kubernetes && version == "" {
			return nil, invalid("", "--upgrade kubernetes: the version is missing", "write one, as in --upgrade kubernetes=1.36.4")
		}
		if name == lock.UpgradeImages && version != "" {
			return nil, invalid("", "--upgrade "+arg+": images have no version of their own", "write --upgrade images, which asks the registries again what their tags stand for")
		}
		up[name] = strings.TrimPrefix(version, "v")
	}
	return up, nil
}

// CheckLock says where lock and cluster file do not belong together, one line
// each with its place. It fetches nothing.
func (a *App) CheckLock(o LockOptions) (path string, problems []string, err error) {
	o.Offline = true
	l, err := a.locking(o)
	if err != nil {
		return "", nil, err
	}
	found, err := l.read()
	if err != nil {
		return "", nil, err
	}
	if found == nil {
		return l.path, []string{l.path + ": there is no lock"}, nil
	}
	for _, p := range found.Check(l.wanted) {
		problems = append(problems, fmt.Sprintf("%s:%d: %s: %s", l.path, p.Line, p.Path, p.Message))
	}
	return l.path, problems, nil
}

// FetchLocked brings everything that is locked into the cache and says how much is there.
func (a *App) FetchLocked(ctx context.Context, o LockOptions) (string, error) {
	l, err := a.locking(o)
	if err != nil {
		return "", err
	}
	found, err := l.present()
	if err != nil {
		return "", err
	}
	if p := found.Check(l.wanted); len(p) > 0 {
		return "", fmt.Errorf("%s:%d: %s: %s: the lock does not belong to this cluster file; run `imgforge lock`", l.path, p[0].Line, p[0].Path, p[0].Message)
	}
	if err := l.resolver.Fetch(ctx, found.Lock); err != nil {
		return "", err
	}
	files, err := found.Files(l.resolver.Registry)
	if err != nil {
		return "", err
	}
	var size int64
	seen := map[cache.Digest]bool{}
	for _, f := range files {
		if !seen[f.Digest] {
			size += f.Size
		}
		seen[f.Digest] = true
	}
	return fmt.Sprintf("all that %s names is in %s: %s, %s", l.path, l.resolver.Cache.Dir(), Counted(len(seen), "file"), cache.Bytes(size)), nil
}

// wanted is what a cluster file asks of its lock.
func (c *cluster) wanted() (lock.Wanted, error) {
	p := c.plan
	w := lock.Wanted{Cluster: p.Cluster, Kubernetes: p.Kubernetes.Version, Arch: p.OS.Arch, OS: lock.OS{Family: p.OS.Family, Channel: p.OS.Channel},
		Packages: map[string][]string{}}
	var err error
	if w.Images, err = c.images(); err != nil {
		return w, err
	}
	if slices.Contains(w.Images, p.Images.Keepalived) {
		w.Made = []string{p.Images.Keepalived}
		w.Packages[catalog.UseKeepalived] = []string{"keepalived"}
	}
	if p.OS.Family == "imgforge" {
		w.Packages[catalog.UseBase] = slices.Sorted(slices.Values(slices.Concat(debianbase.Packages(), debianbase.MakingPackages())))
	}
	ships, err := catalog.ShipsOf(p.OS.Family, p.OS.Channel, p.OS.Arch)
	if err != nil {
		return w, invalidAt(c, "os.channel", err.Error(), "write one of those")
	}
	for _, program := range sysext.Programs(shipped(ships)) {
		if program.Name == catalog.Containerd {
			w.Containerd = true
		}
		if program.Debian != "" && (program.For == "" || program.For == p.Network.Mesh) {
			w.Packages[catalog.UseSysext] = append(w.Packages[catalog.UseSysext], program.Debian)
		}
	}
	if len(w.Packages[catalog.UseSysext]) == 0 {
		delete(w.Packages, catalog.UseSysext)
	}
	slices.Sort(w.Packages[catalog.UseSysext])
	return w, nil
}

// shipped is what the catalogue says of a system, for its extension.
func shipped(s catalog.Ships) sysext.Shipped {
	return sysext.Shipped{Containerd: s.Containerd, Conntrack: s.Conntrack, Ethtool: s.Ethtool, Nft: s.Nft, WireGuard: s.WireGuard}
}
