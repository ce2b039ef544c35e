package forge

import (
	"fmt"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/pki"
)

// Verification is what was checked and what is wrong.
type Verification struct {
	artifact.Verdict
	// Checks are the checks that were made, in words.
	Checks []string `json:"checks"`
}

// Verify checks an output folder. With the cluster's store and leaf identity at
// hand the public part is also searched for every secret of the store; without
// them it says that this was not done.
func (a *App) Verify(src Source, dir string) (*Verification, error) {
	secrets, why, err := a.secretsToFind(src)
	if err != nil {
		return nil, err
	}
	v, err := artifact.Verify(dir, artifact.VerifyOptions{Secrets: secrets, Expand: expand})
	if err != nil {
		return nil, err
	}
	out := &Verification{Verdict: v}
	out.Checks = append(out.Checks, fmt.Sprintf("%s: %d files, %d bytes, checked against manifest.json and SHA256SUMS", dir, v.Files, v.Bytes))
	if why != "" {
		out.Checks = append(out.Checks, "the public part was not searched for secrets: "+why)
	} else {
		out.Checks = append(out.Checks, fmt.Sprintf("the public part was searched for %d secrets of the store", v.Searched))
		if v.TooShort > 0 {
			out.Checks = append(out.Checks, fmt.Sprintf("%d secrets are too short to be searched for", v.TooShort))
		}
	}
	if v.OK() {
		out.Checks = append(out.Checks, "nothing is wrong; these artifacts can boot until "+v.LatestBoot)
	}
	return out, nil
}

// secretsToFind opens the store when there is one; why says what kept it closed.
func (a *App) secretsToFind(src Source) (secrets [][]byte, why string, err error) {
	c, st, err := a.open(src)
	if err != nil {
		return nil, err.Error(), nil
	}
	for _, cert := range c.plan.Certificates {
		key, err := st.PrivateKey(cert.ID)
		if err != nil {
			return nil, "", err
		}
		secrets = append(secrets, key)
	}
	for _, k := range c.plan.Keys {
		s, err := st.Secret(k.ID)
		if err != nil {
			return nil, "", err
		}
		secrets = append(secrets, s)
	}
	signer, err := st.AuthorityKey(pki.KubeletSigner)
	if err != nil {
		return nil, "", err
	}
	return append(secrets, signer), "", nil
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
