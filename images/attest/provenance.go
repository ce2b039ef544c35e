package attest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
)

// Types of an in-toto statement with SLSA's provenance, and of what imgforge does.
const (
	statementType  = "https://in-toto.io/Statement/v1"
	provenanceType = "https://slsa.dev/provenance/v1"
	// BuildType says how the parameters are to be read: docs/images.md.
	BuildType = "https://github.com/imgforge/imgforge/build/v1"
	// BuilderID is who built: imgforge as such. Which machine it ran on makes no
	// difference to what it makes, and is not told.
	BuilderID = "https://github.com/imgforge/imgforge"
)

type (
	statement struct {
		Type          string     `json:"_type"`
		Subject       []resource `json:"subject"`
		PredicateType string     `json:"predicateType"`
		Predicate     provenance `json:"predicate"`
	}
	resource struct {
		Name   string            `json:"name,omitempty"`
		URI    string            `json:"uri,omitempty"`
		Digest map[string]string `json:"digest"`
	}
	provenance struct {
		Build buildDefinition `json:"buildDefinition"`
		Run   runDetails      `json:"runDetails"`
	}
	buildDefinition struct {
		Type     string     `json:"buildType"`
		External Parameters `json:"externalParameters"`
		Resolved []resource `json:"resolvedDependencies"`
	}
	runDetails struct {
		Builder builder `json:"builder"`
	}
	builder struct {
		ID      string            `json:"id"`
		Version map[string]string `json:"version"`
	}
)

// Provenance is an in-toto statement, version 1, with SLSA's provenance, version 1, over
// the folder's files: what was asked for and what it was made of. It has no time and no
// invocation, which SLSA leaves to the builder.
func Provenance(f Folder) ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	f = f.sorted()
	s := statement{Type: statementType, PredicateType: provenanceType, Predicate: provenance{
		Build: buildDefinition{Type: BuildType, External: f.Parameters, Resolved: []resource{}},
		Run:   runDetails{builder{BuilderID, map[string]string{"imgforge": cmp.Or(f.Builder, "devel")}}}}}
	for _, file := range f.Files {
		s.Subject = append(s.Subject, resource{Name: file.Path, Digest: map[string]string{"sha256": file.SHA256}})
	}
	for _, c := range f.Components {
		if len(c.In) == 0 && len(c.Inside) > 0 {
			continue
		}
		if algorithm, hex, ok := split(c.Digest); ok {
			s.Predicate.Build.Resolved = append(s.Predicate.Build.Resolved, resource{Name: c.Name, URI: cmp.Or(c.URL, c.PURL), Digest: map[string]string{algorithm: hex}})
		}
	}
	return indented(s)
}

// ReadParameters tells what was asked for, of a document of [Provenance].
func ReadParameters(provenance []byte) (Parameters, error) {
	s, err := readStatement(provenance)
	return s.Predicate.Build.External, err
}

func readStatement(provenance []byte) (s statement, err error) {
	if err := json.Unmarshal(provenance, &s); err != nil || s.Type != statementType || s.PredicateType != provenanceType {
		return s, errors.New("cannot be read as an in-toto statement with SLSA's provenance")
	}
	return s, nil
}

// Check compares both documents with the files that they should be about, and with each
// other: every file is in both, none besides, with its hash. Each problem is one sentence.
func Check(sbom, provenance []byte, files []File) (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	want := map[string]string{}
	for _, f := range files {
		want[f.Path] = f.SHA256
	}
	compare := func(document string, got map[string]string) {
		for path, sum := range got {
			if want[path] == "" {
				bad("%s is about %s, which is not there", document, path)
			} else if want[path] != sum {
				bad("%s has another sha256 for %s", document, path)
			}
		}
		for path := range want {
			if got[path] == "" {
				bad("%s says nothing of %s", document, path)
			}
		}
	}
	var d spdxDocument
	if err := json.Unmarshal(sbom, &d); err != nil || d.Version != "SPDX-2.3" {
		bad("the list of components cannot be read as SPDX 2.3")
	} else {
		compare("the list of components", d.files())
	}
	s, err := readStatement(provenance)
	if err != nil {
		bad("the provenance %v", err)
		return problems
	}
	got := map[string]string{}
	for _, r := range s.Subject {
		got[r.Name] = r.Digest["sha256"]
	}
	compare("the provenance", got)
	return problems
}

// files are the packages that the document describes.
func (d spdxDocument) files() map[string]string {
	described := map[string]bool{}
	for _, r := range d.Relationships {
		if r.Type == "DESCRIBES" {
			described[r.Related] = true
		}
	}
	out := map[string]string{}
	for _, p := range d.Packages {
		if described[p.ID] && len(p.Checksums) == 1 {
			out[p.FileName] = p.Checksums[0].Value
		}
	}
	return out
}
