package forge

import (
	"fmt"
	"os"
	"slices"

	"github.com/imgforge/imgforge/images/attest"
	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/images/inventory"
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
	image, err := disk.Open(m.osBase, m.scratch)
	if err != nil {
		return err
	}
	defer image.Close()
	found, ok, err := inventory.Disk(image)
	for _, c := range found {
		c.Inside = []string{purl}
		l.add(c)
	}
	if !ok {
		m.result.Unlisted = append(m.result.Unlisted, fmt.Sprintf("the packages that the image of %s consists of: it is named itself, with its digest", m.plan.OS.Family))
	}
	return err
}
