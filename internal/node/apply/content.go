package apply

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/node/api"
	"github.com/imgforge/imgforge/profiles/addons"
)

// addon is an add-on with what it is recognised by.
type addon struct {
	addons.Addon
	hash string
}

// wanted renders the add-ons. The leaf of metrics-server differs each time that one
// is made, so another text stands in its place in what the hashes are of.
func wanted(c artifact.ClusterFile, f addons.Facts) ([]addon, error) {
	f.MetricsCert, f.MetricsKey = []byte("certificate\n"), []byte("key\n")
	rendered, err := addons.Render(c, f)
	if err != nil {
		return nil, fmt.Errorf("render the add-ons: %w", err)
	}
	var out []addon
	for _, r := range rendered {
		for _, o := range r.Objects {
			if err := ref(o).Known(); err != nil {
				return nil, fmt.Errorf("add-on %s: %w", r.Name, err)
			}
		}
		out = append(out, addon{r, hash(r)})
	}
	return out, nil
}

// hash names the content of an add-on.
func hash(a addons.Addon) string {
	h := sha256.New()
	for _, o := range a.Objects {
		for _, part := range []string{o.APIVersion, o.Kind, o.Namespace, o.Name, string(o.JSON)} {
			fmt.Fprintf(h, "%d:%s,", len(part), part)
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func ref(o addons.Object) api.Ref {
	return api.Ref{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

// pick returns the add-on of that name.
func pick(all []addon, name string) (addon, bool) {
	i := slices.IndexFunc(all, func(a addon) bool { return a.Name == name })
	if i < 0 {
		return addon{}, false
	}
	return all[i], true
}

// compare orders versions of Kubernetes as their numbers are ordered: 1.9.1, 1.10.0.
func compare(a, b string) int {
	return slices.Compare(numbers(a), numbers(b))
}

func numbers(version string) []int {
	var out []int
	plain := strings.TrimPrefix(version, "v")
	if i := strings.IndexAny(plain, "-+"); i >= 0 { // a build of somebody: v1.36.3+k3s1
		plain = plain[:i]
	}
	for part := range strings.SplitSeq(plain, ".") {
		n, err := strconv.Atoi(part)
		out = append(out, cmp.Or(n, 0))
		if err != nil {
			break
		}
	}
	return out
}
