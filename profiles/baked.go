package profiles

import (
	"maps"
	"slices"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
)

// Baked adds to a document what a disk image of imgforge needs besides: its extension
// and its bundle of container images lie in a partition of their own, which is
// mounted, merged and imported before the claim. A payload that is handed over as
// user-data has none of it, since its image may bring the programs in any way.
func Baked(doc *payload.Document) error {
	return overlay(doc, "common/baked", bringing("the image of this node brought", "/run/imgforge/media", map[string]any{"Mount": "run-imgforge-media.mount"}))
}

// Fetched adds to a document what a node does that fetches its programs (delivery:
// fetch): the extension and the bundle of container images, by their SHA-256 in hex,
// arrive in the first boot, and are merged and imported as those of an image are.
func Fetched(doc *payload.Document, p *plan.Plan, extension, bundle string) error {
	doc.Remotes = []payload.Remote{{Path: artifact.ExtensionPlace, SHA256: extension}, {Path: artifact.BundlePlace, SHA256: bundle}}
	if s := p.Settings; s.HTTPProxy != "" || s.HTTPSProxy != "" {
		doc.Proxy = &payload.Proxy{HTTP: s.HTTPProxy, HTTPS: s.HTTPSProxy, No: s.NoProxy}
	}
	return overlay(doc, "common/programs", bringing("this node fetched", artifact.ExtensionPlace, map[string]any{
		"Extension": artifact.ExtensionPlace, "Bundle": artifact.BundlePlace, "CloudInit": p.OS.Format == payload.FormatCloudInit,
	}))
}

// bringing adds what both templates say of where programs come from, and who waits for them.
func bringing(origin, place string, data map[string]any) map[string]any {
	maps.Copy(data, map[string]any{"Origin": origin, "Place": place, "Claim": unitClaim, "Containerd": unitContainerd, "Firewall": unitFirewall, "Kubelet": unitKubelet})
	if data["Extension"] == nil {
		data["Extension"] = ""
	}
	return data
}

// overlay adds what a template declares to a finished document: a drop-in to the one
// entry of a unit that is there.
func overlay(doc *payload.Document, name string, data map[string]any) error {
	d := *doc
	d.Units, d.Links = nil, slices.Clone(doc.Links)
	if err := addButane(&d, name, data); err != nil {
		return err
	}
	units := slices.Clone(doc.Units)
	for _, u := range d.Units {
		if i := slices.IndexFunc(units, func(o payload.Unit) bool { return o.Name == u.Name }); i >= 0 {
			units[i].Dropins = append(slices.Clone(units[i].Dropins), u.Dropins...)
		} else {
			units = append(units, u)
		}
	}
	doc.Units, doc.Links = units, d.Links
	_, err := finish(doc)
	return err
}
