package forge

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/imgforge/imgforge/images/attest"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/pki"
)

// PublicKey is the key, PKIX in PEM, that proves who signed the manifests of this store's
// folders. It needs no identity.
func (a *App) PublicKey(src Source) ([]byte, error) {
	c, err := a.load(src, storeFacts(src.storeDir()))
	if err != nil {
		return nil, err
	}
	st, err := pki.Open(c.dir, c.spec.Name, pki.Identities{})
	if err != nil {
		return nil, err
	}
	return st.Public(signingKey)
}

// signatures checks the signature of each part's manifest, by the key of a file or,
// without one, that of the store.
func (a *App) signatures(v *Verification, src Source, dir, keyFile string) error {
	const what = "the signatures were not checked"
	key, from, err := a.verifyingKey(src, keyFile)
	if err != nil && keyFile != "" {
		return err
	}
	if v.Throwaway && keyFile == "" {
		v.skipped(what, "the key died with the throwaway store; name one with --key")
		return nil
	}
	if err != nil {
		v.skipped(what, err.Error()+"; name a key with --key")
		return nil
	}
	good := 0
	for _, part := range []string{artifact.Public, artifact.Secret} {
		name := part + "/" + artifact.SignatureName
		manifest, err := os.ReadFile(filepath.Join(dir, part, artifact.ManifestName))
		if err != nil {
			continue // told already, or taken away by its owner
		}
		signature, err := os.ReadFile(filepath.Join(dir, part, artifact.SignatureName))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			v.Problems = append(v.Problems, name+": it is missing: the folder was built by an older imgforge, or somebody took it away; build again")
		case err != nil:
			v.Problems = append(v.Problems, fmt.Sprintf("%s: %v", name, err))
		default:
			if err := attest.Verify(key, manifest, signature); err != nil {
				v.Problems = append(v.Problems, fmt.Sprintf("%s: %v (the key of %s): somebody else built this folder, or changed it; do not boot it", name, err, from))
				continue
			}
			good++
		}
	}
	if good > 0 {
		v.did("%s signed with the key of %s", Counted(good, "manifest"), from)
	}
	return nil
}

// verifyingKey is the public key and where it is from.
func (a *App) verifyingKey(src Source, keyFile string) (key []byte, from string, err error) {
	if keyFile == "" {
		if key, err = a.PublicKey(src); err != nil {
			return nil, "", err
		}
		return key, "the store", nil
	}
	if key, err = os.ReadFile(keyFile); err != nil {
		return nil, "", fmt.Errorf("read the public key: %w", err)
	}
	if err := attest.Verify(key, nil, nil); !errors.Is(err, attest.ErrSignature) {
		return nil, "", fmt.Errorf("%s: %w: `imgforge pki key` prints the right one", keyFile, err)
	}
	return key, keyFile, nil
}

// documents checks that the list of components and the provenance, where a folder has
// them, are about the files that are there, and all of them.
func (v *Verification) documents(dir string) {
	m, err := artifact.ReadManifest(dir, artifact.Public)
	if err != nil {
		return // told already
	}
	var files []attest.File
	found := map[string]bool{}
	for _, e := range m.Files {
		if e.Path == sbomName || e.Path == provenanceName {
			found[e.Path] = true
			continue
		}
		files = append(files, attest.File{Path: e.Path, SHA256: e.SHA256})
	}
	if len(found) == 0 {
		return // payloads alone have neither
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, artifact.Public, name))
		if err != nil {
			return nil // which the check calls unreadable
		}
		return data
	}
	problems := attest.Check(read(sbomName), read(provenanceName), files)
	for _, p := range problems {
		v.Problems = append(v.Problems, artifact.Public+": "+p+": build again")
	}
	if len(problems) == 0 {
		v.did("%s and %s name %s with the hashes that they have", sbomName, provenanceName, Counted(len(files), "file"))
	}
}
