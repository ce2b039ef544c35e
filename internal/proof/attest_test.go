package proof

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	intoto "github.com/in-toto/attestation/go/v1"
	spdx "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
	"github.com/spdx/tools-golang/spdxlib"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool"
)

// What a build says of itself is read by the tools of SPDX and in-toto and by OpenSSL,
// names all that the lock has, and no longer holds once a byte has changed.
func TestImagesProveThemselves(t *testing.T) {
	c := lockedCluster(t)
	out := filepath.Join(t.TempDir(), "out")
	c.buildImages(t, out, "--format", "raw.zst", "--role", "worker")
	public := filepath.Join(out, artifact.Public)
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(public, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	d, err := spdx.Read(bytes.NewReader(read("sbom.spdx.json")))
	if err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(d); err != nil {
		t.Error(err)
	}
	var names []string
	for _, p := range d.Packages {
		names = append(names, p.PackageName)
	}
	for _, want := range append([]string{"imgforge", "imgforge-node", "kubelet", "kubectl", "crictl", "images/worker.raw.zst"}, bakedImages[:]...) {
		if !slices.ContainsFunc(names, func(n string) bool { return n == want || "docker.io/library/"+n == want }) {
			t.Errorf("the list of components lacks %s: %q", want, names)
		}
	}
	// What the layers of container images hold is inside of those images.
	holders := 0
	for _, r := range d.Relationships {
		if r.Relationship == "CONTAINS" && strings.Contains(string(r.RefA.ElementRefID), "registry.k8s.io") && strings.HasPrefix(string(r.RefB.ElementRefID), "Package-base-files-") {
			holders++
		}
	}
	if holders != 5 {
		t.Errorf("%d images hold the package that all of them have", holders)
	}
	baseHolds(t, d)
	var s intoto.Statement
	if err := protojson.Unmarshal(read("provenance.json"), &s); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	key := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(key, c.run(t, "pki", "key"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{artifact.Public, artifact.Secret} {
		cmd := exec.Command(testtool.Path(t, "openssl"), "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", key, "-sigfile", artifact.SignatureName, "-in", artifact.ManifestName)
		cmd.Dir = filepath.Join(out, part)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("openssl does not accept the signature of %s: %v: %s", part, err, text)
		}
	}
	text := string(c.run(t, "verify", "--key", key, out))
	for _, want := range []string{"2 manifests signed with the key of " + key, "sbom.spdx.json and provenance.json name ", "nothing is wrong"} {
		if !strings.Contains(text, want) {
			t.Errorf("verify does not say %q:\n%s", want, text)
		}
	}
	c.forged(t, out, key)
}

// baseHolds looks for the packages of the base: what its own lists name, each with the
// hash of the file that it is from, where the lock has made the base of that.
func baseHolds(t *testing.T, d *v2_3.Document) {
	t.Helper()
	holds := map[string]bool{}
	for _, r := range d.Relationships {
		if r.Relationship == "CONTAINS" && strings.HasPrefix(string(r.RefA.ElementRefID), "Package-imgforge-") {
			holds[string(r.RefB.ElementRefID)] = true
		}
	}
	var got []string
	for _, p := range d.Packages {
		if holds[string(p.PackageSPDXIdentifier)] && strings.HasPrefix(p.PackageExternalReferences[0].Locator, "pkg:deb/") {
			got = append(got, fmt.Sprintf("%s %s %d", p.PackageName, p.PackageVersion, len(p.PackageChecksums)))
		}
	}
	slices.Sort(got)
	if want := []string{"ignition 1.0-1 1", "systemd 1.0-1 1", "tinc 1.0.36-2+b2 1", "tzdata 2025b-0+deb12u1 0"}; !slices.Equal(got, want) {
		t.Errorf("the base holds %q, want %q", got, want)
	}
}

// forged changes what only the signature protects, and takes that away.
func (c *cluster) forged(t *testing.T, out, key string) {
	t.Helper()
	manifest := filepath.Join(out, artifact.Secret, artifact.ManifestName)
	data, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	signature := filepath.Join(out, artifact.Secret, artifact.SignatureName)
	for _, tt := range []struct {
		name   string
		change func() error
	}{
		{"is not that of this key", func() error { return os.WriteFile(manifest, append(data, '\n'), 0o600) }},
		{"it is missing", func() error { return os.Remove(signature) }},
	} {
		if err := tt.change(); err != nil {
			t.Fatal(err)
		}
		if said, err := c.try("verify", "--key", key, out); err == nil || !strings.Contains(err.Error()+string(said), tt.name) {
			t.Errorf("%s: %v\n%s", tt.name, err, said)
		}
		if err := os.WriteFile(manifest, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
