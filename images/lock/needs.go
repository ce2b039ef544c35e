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

// programNames are the names of programs in the lock; kubernetes has several.
func programNames(w Wanted) []string {
	var out []string
	for _, need := range catalog.Needs(w.Containerd) {
		programs, err := catalog.Programs(need, "0", w.Arch)
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
