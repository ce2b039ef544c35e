package forge

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/attest"
	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/images/inventory"
	"github.com/imgforge/imgforge/images/lock"
	"github.com/imgforge/imgforge/internal/artifact"
)

// partsList is a list of components in which each is once, however often it is found.
type partsList struct {
	all []attest.Component
	at  map[string]int // by each of its keys
}

// keysOf are what tells that two components are the same: the package URL; the bytes,
// which one file may have under several names; and a Debian package by its version, which
// is the same wherever it was installed from.
func keysOf(c attest.Component) []string {
	keys := []string{c.PURL}
	if c.Purpose == attest.Application && c.Digest != "" {
		keys = append(keys, c.Digest)
	}
	if attest.IsDebian(c.PURL) {
		keys = append(keys, "deb "+c.Name+" "+c.Version)
	}
	return keys
}

// add notes a component, or where else one that is there is found, and returns the
// package URL under which it is listed.
func (l *partsList) add(c attest.Component) string {
	if l.at == nil {
		l.at = map[string]int{}
	}
	for _, key := range keysOf(c) {
		if i, ok := l.at[key]; ok {
			had := &l.all[i]
			had.In, had.Inside = union(had.In, c.In), union(had.Inside, c.Inside)
			return had.PURL
		}
	}
	for _, key := range keysOf(c) {
		l.at[key] = len(l.all)
	}
	l.all = append(l.all, c)
	return c.PURL
}

// union is all of both, sorted.
func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// programsInside adds the programs that the extension took out of archives, and what
// all of its programs were built from.
func (m *imaging) programsInside(l *partsList, in []string) error {
	var sources []inventory.Source
	for _, f := range m.programs {
		sources = append(sources, inventory.Source{Name: f.Path, Open: f.Open})
	}
	found, err := inventory.Programs(m.scratch, sources)
	for _, c := range found {
		c.In = in
		l.add(c)
	}
	return err
}

// imagesInside adds what the layers of the container images hold.
func (m *imaging) imagesInside(l *partsList) error {
	f, err := os.Open(m.bundle.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	found, err := inventory.Bundle(f, info.Size(), m.scratch)
	if err != nil {
		return err
	}
	outer := map[string]string{} // package URL of an image, by its whole name
	for _, c := range l.all {
		if c.Purpose == attest.Container {
			outer[artifact.ImageName(c.Name)] = c.PURL
		}
	}
	for _, i := range found {
		for _, c := range i.Components {
			c.Inside = []string{outer[i.Name]}
			l.add(c)
		}
		if i.Unread != "" {
			m.result.Unlisted = append(m.result.Unlisted, i.Name+": "+i.Unread)
		}
	}
	return nil
}

// baseInside adds the packages of the operating system, of which purl is the image.
func (m *imaging) baseInside(l *partsList, purl string) error {
	found, err := m.basePackages()
	if err != nil {
		return err
	}
	if len(found) == 0 {
		m.result.Unlisted = append(m.result.Unlisted, fmt.Sprintf("the packages that the image of %s consists of: it is named itself, with its digest", m.plan.OS.Family))
	}
	for _, c := range found {
		c.Inside = []string{purl}
		l.add(c)
	}
	return nil
}

// basePackages are what the operating system is made of: by the lists that the lock
// pins with it, or by its own; none where neither is there.
func (m *imaging) basePackages() ([]attest.Component, error) {
	if b := m.lock.Base; b != nil && len(b.Packages) > 0 {
		return m.publishedPackages(b)
	}
	image, err := disk.Open(m.osBase, m.scratch)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	found, err := inventory.Disk(image)
	for i := range found {
		m.fromArchive(&found[i])
	}
	return found, err
}

// fromArchive says of a package where it is from, when it is one of those that the lock
// pins for the base: in Debian's archive, name and version are those of one file.
func (m *imaging) fromArchive(c *attest.Component) {
	if m.lock.Debian == nil || !attest.IsDebian(c.PURL) {
		return
	}
	for _, p := range m.lock.Debian.Packages {
		if p.Name == c.Name && p.Version == c.Version && slices.Contains(p.Use, catalog.UseBase) {
			c.URL, c.Digest = p.URL, string(p.Digest)
		}
	}
}

// publishedPackages reads the lists of what an image is made of.
func (m *imaging) publishedPackages(b *lock.Base) ([]attest.Component, error) {
	family := m.plan.OS.Family
	var out []attest.Component
	for _, list := range b.Packages {
		data, err := m.from.Cache.Read(list.Digest)
		if err != nil {
			return nil, err
		}
		all, err := catalog.ParseList(family, b.Version, data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", list.URL, err)
		}
		for _, p := range all {
			out = append(out, component(family, b.Version, p))
		}
	}
	for _, name := range unlisted(family, b, out) {
		m.result.Unlisted = append(m.result.Unlisted, fmt.Sprintf("the packages of the system extension %s, which lies in the image of %s", name, family))
	}
	return out, nil
}

// component is a package of a list as a component: its package URL as syft has it.
func component(family, version string, p catalog.Installed) attest.Component {
	c := attest.Component{Name: p.Name, Version: p.Version, Purpose: attest.Application}
	if family == "flatcar" {
		c.PURL = attest.Ebuild(p.Name, p.Version)
		return c
	}
	release, _, _ := strings.Cut(version, ".") // Fedora's
	c.PURL = attest.RPM("fedora", p.Name, p.Epoch, p.Version, p.Arch, "fedora-"+release)
	if p.Epoch != "" {
		c.Version = p.Epoch + ":" + p.Version
	}
	return c
}

// unlisted are the extensions in an image of Flatcar of which no list is pinned, unless
// it is from before they were apart.
func unlisted(family string, b *lock.Base, all []attest.Component) (out []string) {
	if family != "flatcar" {
		return nil
	}
	for _, name := range catalog.FlatcarExtensions() {
		program := "/" + strings.TrimSuffix(name, "-flatcar")
		if !slices.ContainsFunc(b.Packages, func(l lock.List) bool { return l.Name == name }) &&
			!slices.ContainsFunc(all, func(c attest.Component) bool { return strings.HasSuffix(c.Name, program) }) {
			out = append(out, name)
		}
	}
	return out
}
