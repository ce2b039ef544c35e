package attest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// unknown is SPDX's word for what nobody asserts.
const unknown = "NOASSERTION"

// The part of SPDX 2.3 in JSON that is written.
type (
	spdxDocument struct {
		Version       string             `json:"spdxVersion"`
		DataLicense   string             `json:"dataLicense"`
		ID            string             `json:"SPDXID"`
		Name          string             `json:"name"`
		Namespace     string             `json:"documentNamespace"`
		Creation      spdxCreation       `json:"creationInfo"`
		Packages      []spdxPackage      `json:"packages"`
		Relationships []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
		Comment  string   `json:"comment"`
	}
	spdxPackage struct {
		ID        string         `json:"SPDXID"`
		Name      string         `json:"name"`
		Version   string         `json:"versionInfo,omitempty"`
		FileName  string         `json:"packageFileName,omitempty"`
		Location  string         `json:"downloadLocation"`
		Analyzed  bool           `json:"filesAnalyzed"`
		Checksums []spdxChecksum `json:"checksums,omitempty"`
		Concluded string         `json:"licenseConcluded"`
		Declared  string         `json:"licenseDeclared"`
		Copyright string         `json:"copyrightText"`
		Purpose   string         `json:"primaryPackagePurpose"`
		External  []spdxExternal `json:"externalRefs,omitempty"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxExternal struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelationship struct {
		Element string `json:"spdxElementId"`
		Related string `json:"relatedSpdxElement"`
		Type    string `json:"relationshipType"`
	}
)

// SBOM is the folder's list of components as SPDX 2.3 in JSON: each file of the folder
// is a package that the document describes, and contains the components that are in it;
// a component, such as a container image, contains those that are inside of it.
// Its name in a URI follows from its contents, so that two that differ never share one.
func SBOM(f Folder) ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	f = f.sorted()
	const self = "SPDXRef-DOCUMENT"
	d := spdxDocument{Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: self, Name: "imgforge-" + f.Cluster,
		Creation: spdxCreation{Created: f.Created, Creators: []string{"Tool: imgforge-" + cmp.Or(f.Builder, "devel")},
			Comment: "The time is the same in every document of imgforge: the same inputs give the same bytes."}}
	for _, file := range f.Files {
		id := spdxID("File", file.Path, file.SHA256)
		d.Packages = append(d.Packages, spdxPackage{ID: id, Name: file.Path, FileName: file.Path, Location: unknown, Concluded: unknown, Declared: unknown, Copyright: unknown,
			Purpose: "FILE", Checksums: []spdxChecksum{{"SHA256", file.SHA256}}})
		d.Relationships = append(d.Relationships, spdxRelationship{self, id, "DESCRIBES"})
		for _, c := range f.Components {
			for _, in := range c.In {
				if in == file.Path {
					d.Relationships = append(d.Relationships, spdxRelationship{id, c.id(), "CONTAINS"})
				}
			}
		}
	}
	ids := map[string]string{} // by package URL
	for _, c := range f.Components {
		ids[c.PURL] = c.id()
		d.Packages = append(d.Packages, c.spdx())
	}
	for _, c := range f.Components {
		for _, outer := range slices.Sorted(slices.Values(c.Inside)) {
			d.Relationships = append(d.Relationships, spdxRelationship{ids[outer], c.id(), "CONTAINS"})
		}
	}
	plain, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("write the list of components: %w", err)
	}
	d.Namespace = fmt.Sprintf("https://spdx.org/spdxdocs/%s-%x", d.Name, sha256.Sum256(plain))
	return indented(d)
}

func (c Component) id() string { return spdxID("Package", c.Name, c.Version, c.PURL, c.Digest) }

func (c Component) spdx() spdxPackage {
	p := spdxPackage{ID: c.id(), Name: c.Name, Version: c.Version, Location: cmp.Or(c.URL, unknown), Concluded: unknown, Declared: cmp.Or(c.License, unknown), Copyright: unknown,
		Purpose: c.Purpose, External: []spdxExternal{{"PACKAGE-MANAGER", "purl", c.PURL}}}
	if algorithm, hex, ok := split(c.Digest); ok {
		p.Checksums = []spdxChecksum{{strings.ToUpper(algorithm), hex}}
	}
	return p
}

// spdxID is an identifier that is readable and, by a hash, one of a kind. It may hold
// letters, digits, dots and hyphens alone.
func spdxID(kind, name string, more ...string) string {
	word := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, name)
	sum := sha256.Sum256([]byte(strings.Join(append([]string{name}, more...), "\x00")))
	return "SPDXRef-" + kind + "-" + word + "-" + hex.EncodeToString(sum[:6])
}

// indented is JSON for people and tools, with a line break at its end.
func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}
