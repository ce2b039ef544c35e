package forge

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/imgforge/imgforge/images/attest"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/pki"
)

// findPrograms has single payloads name the programs of a build that is there: making
// them again would take minutes, and they must be on a server anyway.
func (c *cluster) findPrograms(src Source, st *pki.Store) error {
	if !c.fetches() {
		return nil
	}
	out := cmp.Or(src.Out, "out")
	m, err := artifact.ReadManifest(out, artifact.Public)
	if errors.Is(err, fs.ErrNotExist) {
		return invalidAt(c, "delivery", fmt.Sprintf("payloads name the programs that nodes fetch by their hashes, and there is no build at %s", out),
			"run `imgforge build`, or name its folder with --out")
	}
	if err != nil {
		return err
	}
	if err := c.signedByStore(st, out); err != nil {
		return err
	}
	if m.Cluster != c.plan.Cluster {
		return fmt.Errorf("%s was built for the cluster %q, and this is %q: name the folder of this cluster's build with --out", out, m.Cluster, c.plan.Cluster)
	}
	if err := c.builtFrom(src, out, m); err != nil {
		return err
	}
	found := &programs{}
	for _, e := range m.Files {
		if e.Path != payload.FetchedPath(e.SHA256) {
			continue
		}
		switch e.Kind {
		case "sysext":
			found.extension = e.SHA256
		case "bundle":
			found.bundle = e.SHA256
		}
	}
	if found.extension == "" || found.bundle == "" {
		return fmt.Errorf("%s holds no programs that nodes could fetch: run `imgforge build` again, with delivery: fetch", out)
	}
	c.programs = found
	return nil
}

// signedByStore refuses a build of somebody else: what it names runs on every node.
func (c *cluster) signedByStore(st *pki.Store, out string) error {
	key, err := st.Public(signingKey)
	if err != nil {
		return err
	}
	name := filepath.Join(out, artifact.Public, artifact.ManifestName)
	manifest, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	signature, err := os.ReadFile(filepath.Join(out, artifact.Public, artifact.SignatureName))
	if err == nil {
		err = attest.Verify(key, manifest, signature)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: the store at %s has not signed this build; run `imgforge build` again", name, err, c.dir)
	}
	return nil
}

// builtFrom refuses a build of another version, system or lock than today's.
func (c *cluster) builtFrom(src Source, out string, m artifact.Manifest) error {
	was, err := parametersOf(out, m)
	if err != nil {
		return err
	}
	system := c.plan.OS
	want := map[string]string{"kubernetes": c.plan.Kubernetes.Version, "os": system.Family, "channel": system.Channel, "arch": system.Arch}
	if digest, err := lockDigest(src); err != nil {
		return err
	} else if digest != "" {
		want["lock"] = digest
	}
	for _, name := range []string{"kubernetes", "os", "channel", "arch", "lock"} {
		if got, _ := was[name].(string); want[name] != "" && got != want[name] {
			return fmt.Errorf("the programs in %s are not today's: %s was %s, and is %s: run `imgforge build` again, and upload what it says", out, name, cmp.Or(got, "nothing"), want[name])
		}
	}
	return nil
}

// parametersOf are what a build says that it was made from.
func parametersOf(out string, m artifact.Manifest) (map[string]any, error) {
	name := filepath.Join(out, artifact.Public, provenanceName)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no programs that nodes could fetch: run `imgforge build` again, with delivery: fetch", out)
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	for _, e := range m.Files {
		if e.Path == provenanceName && e.SHA256 != hex.EncodeToString(sum[:]) {
			return nil, fmt.Errorf("%s: it is not the one that was built: run `imgforge verify %s`", name, out)
		}
	}
	var statement struct {
		Predicate struct {
			BuildDefinition struct {
				ExternalParameters map[string]any `json:"externalParameters"`
			} `json:"buildDefinition"`
		} `json:"predicate"`
	}
	if err := json.Unmarshal(data, &statement); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return statement.Predicate.BuildDefinition.ExternalParameters, nil
}

// lockDigest is that of the lock beside the cluster file, as provenance has it; "" where
// there is none.
func lockDigest(src Source) (string, error) {
	path, err := LockOptions{Source: src}.path()
	if err != nil {
		return "", nil // a file from standard input has none beside it
	}
	digest, err := fileDigest(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return digest, err
}
