package profiles

import (
	"slices"

	"github.com/imgforge/imgforge/internal/payload"
)

// Baked adds to a document what a disk image of imgforge needs besides: its extension
// and its bundle of container images lie in a partition of their own, which is
// mounted, merged and imported before the claim. A payload that is handed over as
// user-data has none of it, since its image may bring the programs in any way.
func Baked(doc *payload.Document) error {
	d := *doc
	d.Units, d.Links = nil, slices.Clone(doc.Links)
	err := addButane(&d, "common/baked", map[string]any{
		"Mount": "run-imgforge-media.mount", "Kubelet": unitKubelet,
	})
	if err != nil {
		return err
	}
	// One entry of a unit: what is baked adds a drop-in to those that are there.
	units := slices.Clone(doc.Units)
	for _, u := range d.Units {
		if i := slices.IndexFunc(units, func(o payload.Unit) bool { return o.Name == u.Name }); i >= 0 {
			units[i].Dropins = append(slices.Clone(units[i].Dropins), u.Dropins...)
		} else {
			units = append(units, u)
		}
	}
	doc.Units, doc.Links = units, d.Links
	_, err = finish(doc)
	return err
}
