package forge

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/images/lock"
	"github.com/imgforge/imgforge/images/sysext"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
)

// ImageOptions choose the images that a build makes where there is a lock.
type ImageOptions struct {
	// None leaves them out.
	None bool
	// Role and Node restrict the disk images; at most one is set. Without either there
	// is one per role.
	Role, Node string
	// Formats are those of package disk; nil for what the provider takes.
	Formats []string
	// Unsealed leaves the slots in the clear, and the disk images in the secret part.
	Unsealed bool
	// Base is the operating system's image where the lock has none.
	Base string
	// Helper is the program imgforge-node for the nodes' architecture; "" looks beside
	// the program that runs.
	Helper string
	// Lock is the file; "" means imgforge.lock beside the cluster file.
	Lock string
	DownloadOptions
}

// imageTime is the time of all that is new in images, in seconds since 1970: 1 January
// 2026. Any that is fixed would do.
const imageTime = 1767225600

// imaging is the images of one build.
type imaging struct {
	*build
	o       ImageOptions
	lock    *lock.Located
	digest  string // of the lock
	from    *lock.Resolver
	finder  *artifact.Finder
	sysext  artifact.Written
	bundle  artifact.Written
	helper  []byte
	scratch string
	made    []string // disk images, by role or node
	osBase  string   // the operating system's image, unpacked; "" without one
	// programs are the extension's that are not from Debian packages.
	programs []sysext.File
	// keepalivedDigest is that of the container image that imgforge makes; "" without one.
	keepalivedDigest string
}

// imagesOf makes the extension, the bundle and the disk images, when there is a lock
// and nodes boot from images; where they fetch their programs, those are there already.
func (b *build) imagesOf(ctx context.Context) error {
	if b.served != nil {
		return b.served.finish()
	}
	if b.o.None {
		return nil
	}
	path, err := LockOptions{Source: b.source, Lock: b.o.Lock}.path()
	if err != nil {
		return b.o.refuseWithoutLock(err.Error())
	}
	data, err := b.readLock(path)
	if err != nil {
		return err
	}
	if data == nil {
		b.result.Hint = "no images: `imgforge lock` pins what they are made of, and build then adds the system extension, the bundle of container images and a sealed disk image per role"
		return b.o.refuseWithoutLock(fmt.Sprintf("there is no lock at %s", path))
	}
	m, err := b.imaging(path, data)
	if err != nil {
		return err
	}
	return m.make(ctx)
}

// readLock is nil where there is none beside the cluster file. One that is named must be there.
func (b *build) readLock(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if b.o.Lock == "" && os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the lock: %w", err)
	}
	return data, nil
}

// disks tells whether disk images were asked for by a flag.
func (o ImageOptions) disks() bool {
	return o.Role != "" || o.Node != "" || len(o.Formats) > 0 || o.Unsealed || o.Base != ""
}

// refuseWithoutLock is nil unless images were asked for by a flag.
func (o ImageOptions) refuseWithoutLock(why string) error {
	if !o.disks() {
		return nil
	}
	return fmt.Errorf("no images can be made: %s: run `imgforge lock`", why)
}

// imaging reads the lock, which must belong to the cluster file.
func (b *build) imaging(path string, data []byte) (*imaging, error) {
	found, err := lock.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	wanted, err := b.wanted()
	if err != nil {
		return nil, err
	}
	if p := found.Check(wanted); len(p) > 0 {
		fix := "run `imgforge lock`, or build with --no-images"
		if b.fetches() {
			fix = "run `imgforge lock`"
		}
		return nil, fmt.Errorf("%s:%d: %s: %s: the lock does not belong to this cluster file; %s", path, p[0].Line, p[0].Path, p[0].Message, fix)
	}
	sum := sha256.Sum256(data)
	m := &imaging{build: b, o: b.o, lock: found, digest: hex.EncodeToString(sum[:])}
	if err := m.check(); err != nil {
		return nil, err
	}
	m.from, err = b.app.resolver(b.cluster, b.o.DownloadOptions)
	return m, err
}

// check refuses what was asked for and cannot be made, before anything is fetched.
func (m *imaging) check() error {
	if m.o.Node != "" {
		if _, ok := m.plan.Node(m.o.Node); !ok {
			return m.noSuchNode(m.o.Node)
		}
	}
	if m.o.Role != "" {
		if r, ok := m.plan.Role(m.o.Role); !ok || r.Slots == 0 {
			return m.noSuchRole(m.o.Role)
		}
	}
	for i, f := range m.o.Formats {
		if !slices.Contains(disk.Formats(), f) {
			return invalid("", fmt.Sprintf("--format %s: disk images have no such format", f), "write one or several of "+strings.Join(disk.Formats(), ", "))
		}
		if slices.Contains(m.o.Formats[:i], f) {
			return invalid("", fmt.Sprintf("--format %s is there twice", f), "name each format once")
		}
	}
	if m.o.Base != "" && m.lock.Base != nil {
		return invalid("", fmt.Sprintf("--base: the lock pins the image of %s already", m.plan.OS.Family), "leave --base out; `imgforge lock --upgrade base` moves to another version")
	}
	return nil
}

// make makes everything, one after the other: each part is large.
func (m *imaging) make(ctx context.Context) error {
	if err := m.parts(ctx, m.lock.Lock); err != nil {
		return err
	}
	if err := m.disks(ctx); err != nil {
		return err
	}
	return m.finish()
}

// finish says what was made, for programs and for people.
func (m *imaging) finish() error {
	if err := m.proof(); err != nil {
		return err
	}
	m.summarize()
	return nil
}

// parts brings what a lock names into the cache, and makes the extension and the bundle of it.
func (m *imaging) parts(ctx context.Context, l *lock.Lock) (err error) {
	if err := m.from.Fetch(ctx, l); err != nil {
		return err
	}
	if m.scratch, err = m.tree.Scratch(); err != nil {
		return err
	}
	if m.helper, err = nodeHelper(m.o.Helper, m.plan.OS.Arch); err != nil {
		return err
	}
	if err := m.extension(); err != nil {
		return err
	}
	return m.containers(ctx)
}

// summarize says what was made and where it lies.
func (m *imaging) summarize() {
	public := filepath.Join(m.result.Out, artifact.Public)
	m.result.Images = fmt.Sprintf("system extension and bundle of %s in %s", Counted(len(m.lock.Images), "container image"), public)
	switch {
	case len(m.made) > 0 && m.o.Unsealed:
		m.result.Images += fmt.Sprintf("; disk images with keys in the clear (%s) in %s", strings.Join(m.made, ", "), filepath.Join(m.result.Out, artifact.Secret, "images"))
	case len(m.made) > 0:
		m.result.Images += fmt.Sprintf("; sealed disk images (%s) in %s, each server of which needs its line of `imgforge claims`", strings.Join(m.made, ", "), filepath.Join(public, "images"))
	}
}

// defaultFormats are what a provider, or the way to a machine's disk, takes: clouds
// import qcow2 (Scaleway: facts of its API; OpenStack, Exoscale, Proxmox and libvirt
// read it as it is), EC2 imports raw, and machines are written to from a rescue system.
func defaultFormats(provider string) []string {
	switch provider {
	case "scaleway", "openstack", "exoscale", "proxmox", "libvirt":
		return []string{disk.QCOW2}
	case "ec2":
		return []string{disk.Raw}
	}
	return []string{disk.Zstd}
}

// target is one disk image.
type target struct{ role, node string }

func (t target) name() string { return cmp.Or(t.node, t.role) }

// path is where it lies below its part.
func (t target) path(format string) string {
	if t.node != "" {
		return "images/nodes/" + t.node + "." + format
	}
	return "images/" + t.role + "." + format
}

func (m *imaging) targets() []target {
	if m.o.Node != "" {
		n, _ := m.plan.Node(m.o.Node)
		return []target{{role: n.Role, node: n.Name}}
	}
	var out []target
	for _, r := range m.plan.Roles {
		if r.Slots > 0 && (m.o.Role == "" || m.o.Role == r.Name) {
			out = append(out, target{role: r.Name})
		}
	}
	return out
}

// disks makes the disk images.
func (m *imaging) disks(ctx context.Context) error {
	base, err := m.base()
	if err != nil {
		return err
	}
	if base == nil {
		m.warn(m.problems([]payload.Problem{{Warning: true, File: m.file, Path: "os.family",
			Message: fmt.Sprintf("no disk image was made: the lock pins no image of %s", m.plan.OS.Family),
			Fix:     "name one with --base FILE; " + baseHint(m.plan.OS.Family)}})...)
		return nil
	}
	secrets, err := storeSecrets(m.cluster, m.store)
	if err != nil {
		return err
	}
	m.finder, m.osBase = artifact.NewFinder(secrets), base.path
	for _, t := range m.targets() {
		if err := m.bake(ctx, t, base); err != nil {
			return fmt.Errorf("image of %s: %w", t.name(), err)
		}
	}
	return nil
}

func baseHint(family string) string {
	if family == "imgforge" {
		return "`imgforge base` makes it"
	}
	return "the catalogue has images of " + strings.Join(families(), ", ")
}

func families() []string {
	var out []string
	for _, b := range catalog.Bases() {
		if !slices.Contains(out, b.Family) {
			out = append(out, b.Family)
		}
	}
	return out
}
