package forge

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/pki"
)

// Verification is what was checked and what is wrong.
type Verification struct {
	artifact.Verdict
	// Checks are the checks that were made, in words.
	Checks []string `json:"checks"`
	// Unchecked are those that were not made, each with the reason.
	Unchecked []string `json:"unchecked"`
}

// Verify checks an output folder against its own manifests, and against the
// cluster file, the store and the leaf identity as far as they are at hand: what
// is not is said. key is a file with the public key that manifests must be signed with;
// "" takes the store's.
func (a *App) Verify(src Source, dir, key string) (*Verification, error) {
	if err := checkOutput(dir); err != nil {
		return nil, err
	}
	src, err := src.kept()
	if err != nil {
		return nil, err
	}
	secrets, why := a.secretsToFind(src)
	verdict, err := artifact.Verify(dir, artifact.VerifyOptions{Secrets: secrets, Expand: expand, Disks: true})
	if err != nil {
		return nil, err
	}
	v := &Verification{Verdict: verdict, Unchecked: []string{}}
	v.did("%s: %s, %d bytes, checked against manifest.json and SHA256SUMS", dir, Counted(v.Files, "file"), v.Bytes)
	if err := v.disks(dir, secrets); err != nil {
		return nil, err
	}
	v.served(dir)
	if err := a.compare(v, src, dir); err != nil {
		return nil, err
	}
	if err := a.signatures(v, src, dir, key); err != nil {
		return nil, err
	}
	v.documents(dir)
	if why != nil {
		v.skipped("the public part was not searched for secrets", why.Error())
	} else {
		v.did("the public part was searched for %s of the store", Counted(v.Searched, "secret"))
		if v.TooShort > 0 {
			v.did("too short to be searched for: %s", Counted(v.TooShort, "secret"))
		}
	}
	v.conclude()
	return v, nil
}

func (v *Verification) did(format string, args ...any) {
	v.Checks = append(v.Checks, fmt.Sprintf(format, args...))
}

func (v *Verification) skipped(what, why string) {
	why, _, _ = strings.Cut(why, "\n")
	v.Unchecked = append(v.Unchecked, what+": "+why)
}

// conclude ends the checks with what a hurried reader must not miss.
func (v *Verification) conclude() {
	slices.Sort(v.Problems)
	if v.Throwaway {
		v.did("built with a throwaway store: look at it, do not boot it")
	}
	if !v.OK() {
		return
	}
	switch {
	case len(v.Unchecked) > 0:
		v.did("no problem found in what was checked")
		v.Checks = append(v.Checks, v.Unchecked...)
	case v.Throwaway:
		v.did("nothing is wrong")
	default:
		v.did("nothing is wrong; these artifacts can boot until %s", v.LatestBoot)
	}
}

// checkOutput tells the folders that people name by mistake from an output folder.
func checkOutput(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no output folder at %s: run `imgforge build`", dir)
	}
	clean := filepath.Clean(dir)
	if base := filepath.Base(clean); base == artifact.Public || base == artifact.Secret {
		if _, err := os.Stat(filepath.Join(dir, artifact.ManifestName)); err == nil {
			return fmt.Errorf("%s is one part of an output folder: name the folder above, %s", dir, filepath.Dir(clean))
		}
	}
	for _, part := range []string{artifact.Public, artifact.Secret} {
		if _, err := os.Stat(filepath.Join(dir, part, artifact.ManifestName)); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	return fmt.Errorf("%s is no output folder: run `imgforge build`", dir)
}

// compare checks that an output folder is of this cluster and of this store.
func (a *App) compare(v *Verification, src Source, dir string) error {
	const what = "the cluster's name and authorities were not compared"
	c, err := a.check(src, noFacts)
	if err == nil && c.plan == nil {
		err = c.report.Err()
	}
	if err != nil {
		v.skipped(what, err.Error())
		return nil
	}
	if c.spec.Name != v.Cluster {
		v.Problems = append(v.Problems, fmt.Sprintf("%s/%s: it is of the cluster %q, and %s is of %q: name the cluster file with -f, or build again",
			artifact.Public, artifact.ManifestName, v.Cluster, c.file, c.spec.Name))
		return nil
	}
	st, err := pki.Open(c.dir, c.spec.Name, pki.Identities{})
	if err != nil {
		v.skipped("the authorities were not compared", err.Error())
		return nil
	}
	same := true
	for _, name := range authorities() {
		path := "authorities/" + name + ".crt"
		want, err := st.Authority(name)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(dir, artifact.Public, filepath.FromSlash(path)))
		if same = same && err == nil && bytes.Equal(got, want); err == nil && !bytes.Equal(got, want) {
			v.Problems = append(v.Problems, fmt.Sprintf("%s/%s: it is not the authority of the store %s: nodes of this folder and of that store refuse each other; build again",
				artifact.Public, path, c.dir))
		}
	}
	if !same {
		return nil
	}
	v.did("the cluster is %s, as in %s, and its authorities are those of the store %s", v.Cluster, c.file, c.dir)
	return nil
}

// secretsToFind opens what the store keeps for nodes; why says what kept it closed:
// without identity or store, the rest of an output folder can be checked all the same.
func (a *App) secretsToFind(src Source) (secrets [][]byte, why error) {
	c, st, err := a.open(src)
	if err != nil {
		return nil, err
	}
	return storeSecrets(c, st)
}

// storeSecrets are all keys that the store keeps for nodes.
func storeSecrets(c *cluster, st *pki.Store) (secrets [][]byte, err error) {
	for _, cert := range c.plan.Certificates {
		key, err := st.PrivateKey(cert.ID)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, key)
	}
	for _, k := range c.plan.Keys {
		s, err := st.Secret(k.ID)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, s)
	}
	signer, err := st.AuthorityKey(pki.KubeletSigner)
	if err != nil {
		return nil, err
	}
	return append(secrets, signer), nil
}

// expand opens a payload for the search.
func expand(_ string, data []byte) [][]byte {
	files, err := payload.Files(data)
	if err != nil {
		return nil // not a payload
	}
	var out [][]byte
	for _, f := range files {
		out = append(out, f.Contents)
	}
	return out
}
