package lock

import (
	"fmt"
	"maps"
	"slices"
)

// Changes says in lines what differs between two locks; old may be nil.
func Changes(old, now *Lock) []string {
	a, b := map[string]string{}, now.summary()
	if old != nil {
		a = old.summary()
	}
	all := maps.Clone(a)
	maps.Copy(all, b)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		was, is := a[name], b[name]
		switch {
		case was == is:
		case was == "":
			out = append(out, fmt.Sprintf("added %s %s", name, is))
		case is == "":
			out = append(out, fmt.Sprintf("removed %s %s", name, was))
		default:
			out = append(out, fmt.Sprintf("changed %s from %s to %s", name, was, is))
		}
	}
	return out
}

// summary is each thing's version, or the beginning of its digest where the version says too little.
func (l *Lock) summary() map[string]string {
	out := map[string]string{"kubernetes": l.Kubernetes}
	if l.Base != nil {
		out["base "+l.OS.Family+" "+l.OS.Channel] = l.Base.Version + " " + short(l.Base.Digest.Hex())
		for _, p := range l.Base.Packages {
			out["list of packages of "+p.Name] = short(p.Digest.Hex())
		}
	}
	for _, p := range l.Programs {
		out[p.Name] = p.Version + " " + short(p.Digest.Hex())
	}
	if l.Debian != nil {
		out["debian snapshot"] = l.Debian.Snapshot
		for _, p := range l.Debian.Packages {
			out["debian package "+p.Name] = p.Version + " " + short(p.Digest.Hex())
		}
	}
	for _, i := range l.Images {
		out["image "+i.Name] = short(i.Manifest.Hex())
		if i.Made {
			out["image "+i.Name] = "made by imgforge"
		}
	}
	return out
}

func short(sum string) string { return sum[:min(12, len(sum))] }
