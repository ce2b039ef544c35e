package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Archive is what can be installed from several suites.
type Archive struct {
	packages map[string]Package // the highest version of each
	virtual  map[string][]string
}

// NewArchive joins the packages of suites.
func NewArchive(suites ...[]Package) *Archive {
	a := &Archive{packages: map[string]Package{}, virtual: map[string][]string{}}
	for _, p := range slices.Concat(suites...) {
		if old, ok := a.packages[p.Name]; !ok || CompareVersions(p.Version, old.Version) > 0 {
			a.packages[p.Name] = p
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.packages)) {
		for _, v := range a.packages[name].provides {
			a.virtual[v] = append(a.virtual[v], name)
		}
	}
	return a
}

// Closure is what packages need to run: they, and everything that they depend on,
// sorted by name. Of alternatives the first counts that the archive has, as with apt.
// What leave names is left out, with what only it needs.
func (a *Archive) Closure(names, leave []string) ([]Package, error) {
	found := map[string]Package{}
	var visit func(name, by string) error
	visit = func(name, by string) error {
		real, ok := a.find([]string{name})
		if !ok {
			return fmt.Errorf("the archive has no package %s%s", name, by)
		}
		if _, seen := found[real]; seen || slices.Contains(leave, real) {
			return nil
		}
		p := a.packages[real]
		found[real] = p
		for _, group := range p.depends {
			next, ok := a.find(group)
			if !ok {
				return fmt.Errorf("the archive has none of %s, which %s needs", strings.Join(group, ", "), real)
			}
			if err := visit(next, ", which "+real+" needs"); err != nil {
				return err
			}
		}
		return nil
	}
	for _, name := range names {
		if err := visit(name, ""); err != nil {
			return nil, err
		}
	}
	return slices.SortedFunc(maps.Values(found), func(x, y Package) int { return cmp.Compare(x.Name, y.Name) }), nil
}

// find is the first of some names that is a package, or that one provides.
func (a *Archive) find(names []string) (string, bool) {
	for _, name := range names {
		if _, ok := a.packages[name]; ok {
			return name, true
		}
	}
	for _, name := range names {
		if by := a.virtual[name]; len(by) > 0 {
			return by[0], true
		}
	}
	return "", false
}

// PackageSet is a reason to pin Debian packages, and the packages.
type PackageSet struct {
	Use   string // sysext | keepalived
	Names []string
	// Leave are packages that are there already, or that a service without its
	// package manager has no use for.
	Leave []string
}

// Uses of packages: what is unpacked into the node's sysext, and what imgforge's
// keepalived image is made of.
const (
	UseSysext     = "sysext"
	UseKeepalived = "keepalived"
)

// PackageRelease is the Debian release whose packages are taken: the oldest that
// is served, so that they run with every base's C library.
const PackageRelease = "12"

// Packages are what a base lacks, by use. Keepalived is wanted where an address floats.
func Packages(ships Ships, tinc, wireGuard, keepalived bool) []PackageSet {
	var names []string
	for _, tool := range []struct {
		lacks bool
		names []string
	}{
		{tinc, []string{"tinc"}},
		{wireGuard && !ships.WireGuard, []string{"wireguard-tools"}},
		{!ships.Nft, []string{"nftables"}},
		{!ships.Conntrack, []string{"conntrack"}},
		{!ships.Ethtool, []string{"ethtool"}},
	} {
		if tool.lacks {
			names = append(names, tool.names...)
		}
	}
	var out []PackageSet
	if len(names) > 0 {
		slices.Sort(names)
		out = append(out, PackageSet{Use: UseSysext, Names: names, Leave: hostPackages()})
	}
	if keepalived {
		out = append(out, PackageSet{Use: UseKeepalived, Names: []string{"keepalived"}, Leave: maintenance()})
	}
	return out
}

// hostPackages are those that no sysext may bring: the C library, which must be the
// host's own, and what only serves their installation.
func hostPackages() []string {
	return append(maintenance(), "libc6", "libgcc-s1", "gcc-12-base", "libcrypt1")
}

// maintenance are packages that packages need while they are installed or
// configured, and not while they run.
func maintenance() []string {
	return []string{"debconf", "debconf-2.0", "dpkg", "init-system-helpers", "install-info", "lsb-base", "perl-base", "sysvinit-utils", "tar", "ucf", "sensible-utils"}
}
