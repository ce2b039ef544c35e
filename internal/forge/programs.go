package forge

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/lock"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/profiles"
)

// programs are what the nodes of a cluster fetch: the system extension and the bundle of
// container images, by their SHA-256 in hex. Payloads name them, so they come first.
type programs struct{ extension, bundle string }

// fetches tells whether nodes fetch their programs.
func (c *cluster) fetches() bool { return c.plan.Settings.Delivery == "fetch" }

// withPrograms adds to a document what its node fetches.
func (c *cluster) withPrograms(doc *payload.Document) error {
	if !c.fetches() {
		return nil
	}
	if c.programs == nil {
		return fmt.Errorf("the payload of %s was asked for before the programs that it names", doc.Target)
	}
	return profiles.Fetched(doc, c.plan, c.programs.extension, c.programs.bundle)
}

// estimating is the cluster with hashes of nothing where no build says which: they are
// as long as those of a build, and as hard to compress.
func (c *cluster) estimating() *cluster {
	if c.programs != nil {
		return c
	}
	e := *c
	e.programs = &programs{fmt.Sprintf("%x", noise("extension", 32)), fmt.Sprintf("%x", noise("bundle", 32))}
	return &e
}

// fetchedPrograms makes what nodes fetch, before any payload names it.
func (b *build) fetchedPrograms(ctx context.Context) error {
	if !b.fetches() {
		return nil
	}
	if b.o.None {
		return invalidAt(b.cluster, "delivery", "payloads name the programs that nodes fetch, and --no-images makes none", "leave --no-images out, or write delivery: baked")
	}
	if b.o.disks() {
		return invalidAt(b.cluster, "delivery", "no disk image is made where nodes fetch their programs", "leave --role, --node, --format, --unsealed and --base out, or write delivery: baked")
	}
	path, err := LockOptions{Source: b.source, Lock: b.o.Lock}.path()
	if err != nil {
		return err
	}
	data, err := b.readLock(path)
	if err != nil {
		return err
	}
	if data == nil {
		return invalidAt(b.cluster, "delivery", fmt.Sprintf("a lock pins the programs that nodes fetch, and there is none at %s", path),
			"run `imgforge lock`, and commit what it writes; or write delivery: baked, for images that bring them")
	}
	m, err := b.imaging(path, data)
	if err != nil {
		return err
	}
	if err := m.parts(ctx, inPrograms(m.lock.Lock)); err != nil {
		return err
	}
	b.cluster.programs, b.served = &programs{m.sysext.SHA256, m.bundle.SHA256}, m
	return nil
}

// inPrograms is a lock without what only disk images are made of.
func inPrograms(l *lock.Lock) *lock.Lock {
	out := *l
	out.Base = nil
	if l.Debian != nil {
		debian := *l.Debian
		debian.Packages = slices.DeleteFunc(slices.Clone(debian.Packages), func(p lock.Package) bool {
			return !slices.Contains(p.Use, catalog.UseSysext) && !slices.Contains(p.Use, catalog.UseKeepalived)
		})
		out.Debian = &debian
	}
	return &out
}

// add writes a large file of the public part, which is named by its hash where nodes
// fetch it: a server can hold it beside that of the build before.
func (m *imaging) add(item artifact.Item, fill func(*os.File) error) (artifact.Written, error) {
	if !m.fetches() {
		return m.tree.AddFile(item, fill)
	}
	temp := filepath.Join(m.scratch, item.Kind)
	if err := artifact.WriteOpen(temp, 0o600, fill); err != nil {
		return artifact.Written{}, err
	}
	digest, err := fileDigest(temp)
	if err != nil {
		return artifact.Written{}, err
	}
	item.Path = payload.FetchedPath(strings.TrimPrefix(digest, "sha256:"))
	all, err := m.tree.AddFiles([]artifact.Item{item}, func(paths []string) error { return os.Rename(temp, paths[0]) })
	if err != nil {
		return artifact.Written{}, err
	}
	return all[0], nil
}

// serving says which files have to be found where, the large ones each.
func (b *build) serving() []string {
	if b.plan.Settings.ArtifactsURL == "" {
		return nil
	}
	url := strings.TrimSuffix(b.plan.Settings.ArtifactsURL, "/") + "/"
	var large []string
	var small, size int64
	for _, e := range b.tree.Public() {
		what := map[string]string{"sysext": "the system extension", "bundle": "the container images"}[e.Kind]
		switch {
		case !strings.HasPrefix(e.Path, payload.FetchedPath("")):
		case what == "":
			small, size = small+1, size+e.Size
		default:
			large = append(large, fmt.Sprintf("  %s%s (%s, %s)", url, e.Path, what, cache.Bytes(e.Size)))
		}
	}
	slices.Sort(large)
	out := append([]string{fmt.Sprintf("nodes fetch what is in %s from %sfiles/: upload it before the first one boots, and leave there what older payloads name:",
		filepath.Join(b.result.Out, artifact.Public, "files"), url)}, large...)
	if small > 0 {
		out = append(out, fmt.Sprintf("  %sfiles/ (%s, %s)", url, Counted(int(small), "smaller file"), cache.Bytes(size)))
	}
	if len(large)+int(small) == 0 {
		return nil
	}
	return out
}
