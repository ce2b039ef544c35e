package forge

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

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
	m, err := signedByStore(st, c.dir, out)
	if errors.Is(err, fs.ErrNotExist) {
		return invalidAt(c, "delivery", fmt.Sprintf("payloads name the programs that nodes fetch by their hashes, and there is no build at %s", out),
			"run `imgforge build`, or name its folder with --out")
	}
	if err != nil {
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

// signedByStore reads the manifest of a build, and refuses that of somebody else: what it
// names runs on every node.
func signedByStore(st *pki.Store, store, out string) (artifact.Manifest, error) {
	name := filepath.Join(out, artifact.Public, artifact.ManifestName)
	data, err := os.ReadFile(name)
	if err != nil {
		return artifact.Manifest{}, fmt.Errorf("read manifest: %w", err)
	}
	m, err := artifact.ParseManifest(data, name, artifact.Public)
	if err != nil {
		return m, err
	}
	key, err := st.Public(signingKey)
	if err != nil {
		return m, err
	}
	signature, err := os.ReadFile(filepath.Join(out, artifact.Public, artifact.SignatureName))
	if err == nil {
		err = attest.Verify(key, data, signature)
	}
	if err != nil { // not %w: that a signature is missing does not mean that the build is
		return m, fmt.Errorf("%s: %v: the store at %s has not signed this build; run `imgforge build` again", name, err, store)
	}
	return m, nil
}

// programsFrom are the parameters of a build that its programs follow from, as
// provenance has them.
func (c *cluster) programsFrom(lock string) attest.Parameters {
	system := c.plan.OS
	return attest.Parameters{"kubernetes": c.plan.Kubernetes.Version, "os": system.Family, "channel": system.Channel, "arch": system.Arch, "lock": lock}
}

// builtFrom refuses a build of another version, system or lock than today's.
func (c *cluster) builtFrom(src Source, out string, m artifact.Manifest) error {
	was, err := parametersOf(out, m)
	if err != nil {
		return err
	}
	digest, err := lockDigest(src)
	if err != nil {
		return err
	}
	want := c.programsFrom(digest)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if want[name] == "" {
			continue // the channel of an OS without any, and the lock where none is beside the file
		}
		if got, _ := was[name].(string); got != want[name] {
			return fmt.Errorf("the programs in %s are not today's: %s was %s, and is %s: run `imgforge build` again, and upload what it says", out, name, cmp.Or(got, "nothing"), want[name])
		}
	}
	return nil
}

// parametersOf are what a build says that it was made from, in the document that its
// manifest names.
func parametersOf(out string, m artifact.Manifest) (attest.Parameters, error) {
	name := filepath.Join(out, artifact.Public, provenanceName)
	i := slices.IndexFunc(m.Files, func(e artifact.Entry) bool { return e.Path == provenanceName })
	if i < 0 {
		return nil, fmt.Errorf("%s holds no programs that nodes could fetch: run `imgforge build` again, with delivery: fetch", out)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); m.Files[i].SHA256 != hex.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("%s: it is not the one that was built: run `imgforge verify %s`", name, out)
	}
	was, err := attest.ReadParameters(data)
	if err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	return was, nil
}

// lockDigest is that of the lock that is named, or beside the cluster file, as provenance
// has it; "" where none is beside it.
func lockDigest(src Source) (string, error) {
	path, err := LockOptions{Source: src, Lock: src.Lock}.path()
	if err != nil {
		return "", nil // a file from standard input has none beside it
	}
	digest, err := fileDigest(path)
	if src.Lock == "" && errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return digest, err
}
