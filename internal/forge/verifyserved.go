package forge

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
)

// served checks that what payloads fetch by its hash is in the public part under that
// hash: a node whose file is missing waits for it in its first boot.
func (v *Verification) served(dir string) {
	public, err := artifact.ReadManifest(dir, artifact.Public)
	if err != nil {
		return // told already
	}
	secret, err := artifact.ReadManifest(dir, artifact.Secret)
	if err != nil {
		return // told already, or taken away by its owner
	}
	there := map[string]bool{}
	for _, e := range public.Files {
		there[e.Path] = e.Path == payload.FetchedPath(e.SHA256)
	}
	named, lacking := map[string]bool{}, map[string]string{}
	for _, e := range secret.Files {
		if e.Kind != "payload" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, artifact.Secret, filepath.FromSlash(e.Path)))
		if err != nil {
			continue // told already
		}
		names, err := payload.References(data)
		if err != nil {
			v.Problems = append(v.Problems, fmt.Sprintf("%s/%s: %v", artifact.Secret, e.Path, err))
			continue
		}
		for _, name := range names {
			if named[name] = true; !there[name] {
				lacking[name] = e.Path
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(lacking)) {
		v.Problems = append(v.Problems, fmt.Sprintf("%s/%s: %s/%s fetches it, and it is not there with this hash: build again", artifact.Public, name, artifact.Secret, lacking[name]))
	}
	if len(named) > 0 && len(lacking) == 0 {
		v.did("%s that payloads fetch: in %s under the hashes that payloads name", Counted(len(named), "file"), artifact.Public)
	}
}
