package attest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	spdx "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/imgforge/imgforge/internal/testtool"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	sumA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	sumB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func folder() Folder {
	const extension, image = "sysext/kubernetes-v1.36.3.raw", "images/master.qcow2"
	return Folder{Cluster: "nostromo", Builder: "v0.1.0", Created: "2026-01-01T00:00:00Z",
		Files: []File{{image, sumB}, {extension, sumA}},
		Components: []Component{
			{Name: "tinc", Version: "1.0.36-2+b2", Purpose: Application, PURL: Debian("tinc", "1.0.36-2+b2", "amd64", "bookworm"), URL: "https://example.org/tinc_1.0.36-2+b2_amd64.deb", Digest: "sha256:" + sumB, In: []string{extension, image}},
			{Name: "kubelet", Version: "1.36.3", Purpose: Application, PURL: Generic("kubelet", "1.36.3", "https://example.org/kubelet", "sha256:"+sumA), URL: "https://example.org/kubelet", Digest: "sha256:" + sumA, License: "Apache-2.0", In: []string{extension, image}},
			{Name: "flatcar", Version: "4593.2.0", Purpose: OperatingSystem, PURL: Generic("flatcar", "4593.2.0", "", ""), Digest: "sha512:" + sumA + sumB, In: []string{image}},
			{Name: "registry.example.org/pause", Version: "3.10.1", Purpose: Container, PURL: OCI("registry.example.org:5000/k8s/pause:3.10.1", "sha256:"+sumA), Digest: "sha256:" + sumA, In: []string{image}},
			{Name: "golang.org/x/sys", Version: "v0.40.0", Purpose: Library, PURL: Module("golang.org/x/sys", "v0.40.0"), In: []string{extension}},
		},
		Parameters: Parameters{"cluster": "nostromo", "arch": "amd64", "sealed": true, "formats": []string{"qcow2"}},
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s differs (%v):\n%s", name, err, got)
	}
}

// SPDX's own tools read the document and find it valid; the order of what is given
// leaves no trace.
func TestSBOM(t *testing.T) {
	data, err := SBOM(folder())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "sbom.spdx.json", data)
	d, err := spdx.Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(d); err != nil {
		t.Error(err)
	}
	described, err := spdxlib.GetDescribedPackageIDs(d)
	if err != nil || len(described) != 2 || len(d.Packages) != 7 {
		t.Errorf("describes %v of %d packages: %v", described, len(d.Packages), err)
	}
	other := folder()
	slices.Reverse(other.Files)
	slices.Reverse(other.Components)
	if again, err := SBOM(other); err != nil || !bytes.Equal(again, data) {
		t.Errorf("another order gives another document: %v", err)
	}
	other.Components[0].Version += "x"
	if again, err := SBOM(other); err != nil || namespace(again) == namespace(data) {
		t.Errorf("two documents that differ share a name: %v", err)
	}
}

func namespace(sbom []byte) string {
	_, rest, _ := strings.Cut(string(sbom), `"documentNamespace": "`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

// in-toto's own types read the statement strictly and find it, and SLSA's part, valid.
func TestProvenance(t *testing.T) {
	data, err := Provenance(folder())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "provenance.json", data)
	var s intoto.Statement
	if err := protojson.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	predicate, err := protojson.Marshal(s.Predicate)
	if err != nil {
		t.Fatal(err)
	}
	var p v1.Provenance
	if err := protojson.Unmarshal(predicate, &p); err != nil {
		t.Fatal(err)
	}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	if p.RunDetails.Metadata != nil || len(p.BuildDefinition.ResolvedDependencies) != 4 {
		t.Errorf("%v", &p)
	}
}

// What was changed behind the documents' back is found.
func TestCheck(t *testing.T) {
	f := folder()
	sbom, _ := SBOM(f)
	provenance, _ := Provenance(f)
	if p := Check(sbom, provenance, f.Files); len(p) > 0 {
		t.Errorf("%q", p)
	}
	for name, change := range map[string]func() []string{
		"another file":       func() []string { return Check(sbom, provenance, append(slices.Clone(f.Files), File{"x", sumA})) },
		"a file gone":        func() []string { return Check(sbom, provenance, f.Files[1:]) },
		"another hash":       func() []string { return Check(sbom, provenance, []File{{f.Files[0].Path, sumA}, f.Files[1]}) },
		"no list":            func() []string { return Check([]byte("{}"), provenance, f.Files) },
		"no provenance":      func() []string { return Check(sbom, nil, f.Files) },
		"list of another":    func() []string { return Check(bytes.ReplaceAll(sbom, []byte(sumB), []byte(sumA)), provenance, f.Files) },
		"statement of other": func() []string { return Check(sbom, bytes.ReplaceAll(provenance, []byte(sumB), []byte(sumA)), f.Files) },
	} {
		if p := change(); len(p) == 0 {
			t.Errorf("%s is not found", name)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, change := range map[string]func(f *Folder){
		"no files":          func(f *Folder) { f.Files = nil },
		"no hash":           func(f *Folder) { f.Files[0].SHA256 = "" },
		"no package URL":    func(f *Folder) { f.Components[0].PURL = "" },
		"a digest of md5":   func(f *Folder) { f.Components[0].Digest = "md5:00" },
		"in a file not had": func(f *Folder) { f.Components[0].In = []string{"elsewhere"} },
	} {
		f := folder()
		change(&f)
		if _, err := SBOM(f); err == nil {
			t.Errorf("%s: a list was written", name)
		}
		if _, err := Provenance(f); err == nil {
			t.Errorf("%s: a statement was written", name)
		}
	}
}

// OpenSSL accepts the signature, and not that of another key or over other bytes.
func TestSignatureIsOpenSSLs(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	secretDER, err1 := x509.MarshalPKCS8PrivateKey(private)
	publicDER, err2 := x509.MarshalPKIXPublicKey(public)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secretDER})
	key := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER})
	data := []byte("{\"schema\": \"imgforge/manifest/v1\"}\n")
	signature, err := Sign(secret, data)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := Sign(secret, data); !bytes.Equal(again, signature) {
		t.Error("the same bytes get two signatures")
	}
	if err := Verify(key, data, signature); err != nil {
		t.Error(err)
	}
	if err := Verify(key, append(data, ' '), signature); !errors.Is(err, ErrSignature) {
		t.Errorf("other bytes: %v", err)
	}
	dir := t.TempDir()
	openssl := func(data []byte) (string, error) {
		for name, text := range map[string][]byte{"key": key, "data": data, "sig": signature} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(testtool.Path(t, "openssl"), "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key", "-sigfile", "sig", "-in", "data")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := openssl(data); err != nil {
		t.Errorf("openssl: %v: %s", err, out)
	}
	if out, err := openssl(append(data, ' ')); err == nil {
		t.Errorf("openssl takes other bytes: %s", out)
	}
	for name, bad := range map[string][]byte{"none": nil, "a public key": key} {
		if _, err := Sign(bad, data); err == nil {
			t.Errorf("signed with %s", name)
		}
	}
}
