package lock

import (
	"slices"

	"github.com/imgforge/imgforge/images/catalog"
)

// base is the catalogue's entry for what is wanted; the zero value where it has
// none, which ships nothing.
func (w Wanted) base() (catalog.Base, string, error) {
	if !catalog.Has(w.OS.Family) {
		return catalog.Base{Family: w.OS.Family, Arch: w.Arch}, "", nil
	}
	return catalog.Find(w.OS.Family, w.OS.Channel, w.Arch)
}

// packages are the Debian packages that are wanted, by use.
func (w Wanted) packages(b catalog.Base) []catalog.PackageSet {
	return catalog.Packages(b.Ships, w.Tinc, w.WireGuard, len(w.Made) > 0)
}

// programs are the names of programs in the lock, which kubernetes has several of.
func programNames(b catalog.Base, arch string) []string {
	var out []string
	for _, need := range catalog.Needs(b) {
		programs, err := catalog.Programs(need, "0", arch)
		if err != nil {
			continue // the catalogue's own names
		}
		for _, p := range programs {
			out = append(out, p.Name)
		}
	}
	slices.Sort(out)
	return out
}
