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
// sorted by name. Of alternatives one counts that is asked for itself, else the first
// that the archive has, as with apt.
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
			next, ok := a.asked(group, names)
			if !ok {
				next, ok = a.find(group)
			}
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

// asked is the first of some names that is, or is provided by, a package asked for.
func (a *Archive) asked(group, names []string) (string, bool) {
	for _, name := range group {
		if slices.Contains(names, name) {
			return a.find([]string{name})
		}
		for _, by := range a.virtual[name] {
			if slices.Contains(names, by) {
				return by, true
			}
		}
	}
	return "", false
}

// Required are the packages that every system has.
func (a *Archive) Required() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(a.packages)) {
		if a.packages[name].required {
			out = append(out, name)
		}
	}
	return out
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

// Uses of packages: what the node's sysext takes programs from, what imgforge's
// keepalived image is made of, and what imgforge's own base is, which is a whole system.
const (
	UseSysext     = "sysext"
	UseKeepalived = "keepalived"
	UseBase       = "base"
)

// PackageRelease is the Debian release whose packages are taken. Programs come
// with the C library of their own, so that it need not be the node's.
const PackageRelease = "12"

// Maintenance are packages that others need while they are installed or configured,
// and not while they run.
func Maintenance() []string {
	return []string{"adduser", "cdebconf", "debconf", "debianutils", "dpkg", "init-system-helpers", "install-info", "lsb-base", "passwd",
		"perl-base", "sensible-utils", "sysvinit-utils", "tar", "ucf"}
}
