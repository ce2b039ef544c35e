package forge

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/imgforge/imgforge/images/attest"
	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/pki"
)

// Names of what proves the public part of a folder with images.
const (
	sbomName       = "sbom.spdx.json"
	provenanceName = "provenance.json"
)

// signingKey is the ID of the key that manifests are signed with.
const signingKey = "signing"

// signer signs manifests with the store's key.
func signer(st *pki.Store) func([]byte) ([]byte, error) {
	return func(manifest []byte) ([]byte, error) {
		key, err := st.Secret(signingKey)
		if err != nil {
			return nil, err
		}
		return attest.Sign(key, manifest)
	}
}

// proof writes the list of components and the provenance of the public part: images
// with keys in the clear are not in it, as nobody else ever gets them.
func (m *imaging) proof() error {
	f := attest.Folder{Cluster: m.plan.Cluster, Builder: programVersion(), Created: time.Unix(imageTime, 0).UTC().Format(time.RFC3339)}
	var disks, inExtension, inBundle []string // paths of what contains what
	base := ""
	for _, e := range m.tree.Public() {
		f.Files = append(f.Files, attest.File{Path: e.Path, SHA256: e.SHA256})
		switch {
		case e.Disk != nil:
			disks, base = append(disks, e.Path), e.Disk.Base
		case e.Kind == "sysext":
			inExtension = append(inExtension, e.Path)
		case e.Kind == "bundle":
			inBundle = append(inBundle, e.Path)
		}
	}
	slices.Sort(disks)
	inExtension, inBundle = append(inExtension, disks...), append(inBundle, disks...)
	f.Components = slices.Concat(m.programComponents(inExtension), m.debianComponents(inExtension, inBundle), m.imageComponents(inBundle))
	if base != "" {
		f.Components = append(f.Components, m.baseComponent(base, disks))
	}
	// keepalived's image carries the helper too.
	helper, err := m.helperComponents(union(inExtension, inBundle))
	if err != nil {
		return err
	}
	f.Components = once(append(f.Components, helper...))
	f.Parameters = attest.Parameters{"cluster": m.plan.Cluster, "kubernetes": m.plan.Kubernetes.Version, "os": m.plan.OS.Family, "channel": m.plan.OS.Channel, "arch": m.plan.OS.Arch,
		"provider": m.plan.Platform.Provider, "lock": "sha256:" + m.digest, "images": disks, "sealed": !m.o.Unsealed}
	for _, doc := range []struct {
		name, kind, format string
		make               func(attest.Folder) ([]byte, error)
	}{{sbomName, "sbom", "spdx-json", attest.SBOM}, {provenanceName, "provenance", "in-toto", attest.Provenance}} {
		data, err := doc.make(f)
		if err != nil {
			return err
		}
		if err := m.tree.AddBytes(artifact.Item{Path: doc.name, Kind: doc.kind, Format: doc.format}, data); err != nil {
			return err
		}
	}
	return nil
}

// once merges components with one package URL: programs share modules.
func once(all []attest.Component) []attest.Component {
	var out []attest.Component
	at := map[string]int{}
	for _, c := range all {
		if i, ok := at[c.PURL]; ok {
			out[i].In = union(out[i].In, c.In)
			continue
		}
		at[c.PURL] = len(out)
		out = append(out, c)
	}
	return out
}

// union is all of both, sorted.
func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// programVersion is that of the program that runs.
func programVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return info.Main.Version
}

func (m *imaging) programComponents(in []string) []attest.Component {
	var out []attest.Component
	for _, p := range m.lock.Programs {
		c := attest.Component{Name: p.Name, Version: p.Version, Purpose: attest.Application, URL: p.URL, Digest: string(p.Digest), In: in,
			PURL: attest.Generic(p.Name, p.Version, p.URL, string(p.Digest)), License: "Apache-2.0"} // as all of them declare
		out = append(out, c)
		path, err := m.from.Cache.Path(p.Digest)
		if err != nil {
			continue // it has been read before
		}
		if file, err := os.Open(path); err == nil { // an archive has no modules of its own
			out = append(out, modules(file, in)...)
			file.Close()
		}
	}
	return out
}

// modules are the Go modules that a program says it was built from.
func modules(program io.ReaderAt, in []string) []attest.Component {
	info, err := buildinfo.Read(program)
	if err != nil {
		return nil
	}
	var out []attest.Component
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		if d.Version == "" || d.Path[0] == '.' {
			continue // a folder of the same repository
		}
		out = append(out, attest.Component{Name: d.Path, Version: d.Version, Purpose: attest.Library, PURL: attest.Module(d.Path, d.Version), In: in})
	}
	return out
}

// debianComponents are the packages, in the extension or in the image that imgforge makes.
func (m *imaging) debianComponents(inExtension, inBundle []string) []attest.Component {
	if m.lock.Debian == nil {
		return nil
	}
	var out []attest.Component
	for _, p := range m.lock.Debian.Packages {
		c := attest.Component{Name: p.Name, Version: p.Version, Purpose: attest.Application, URL: p.URL, Digest: string(p.Digest),
			PURL: attest.Debian(p.Name, p.Version, m.plan.OS.Arch, m.lock.Debian.Release)}
		if slices.Contains(p.Use, catalog.UseSysext) {
			c.In = union(c.In, inExtension)
		}
		if slices.Contains(p.Use, catalog.UseKeepalived) {
			c.In = union(c.In, inBundle)
		}
		out = append(out, c)
	}
	return out
}

func (m *imaging) imageComponents(in []string) []attest.Component {
	var out []attest.Component
	for _, i := range m.lock.Images {
		digest := string(i.Manifest)
		if i.Made {
			digest = m.keepalivedDigest
		}
		out = append(out, attest.Component{Name: i.Name, Purpose: attest.Container, PURL: attest.OCI(i.Name, digest), Digest: digest, In: in})
	}
	return out
}

func (m *imaging) baseComponent(digest string, in []string) attest.Component {
	c := attest.Component{Name: m.plan.OS.Family, Purpose: attest.OperatingSystem, Digest: digest, In: in}
	if b := m.lock.Base; b != nil {
		c.Version, c.URL = b.Version, b.URL
	}
	c.PURL = attest.Generic(c.Name, c.Version, c.URL, digest)
	return c
}

// helperComponents are imgforge-node and the modules in it.
func (m *imaging) helperComponents(in []string) ([]attest.Component, error) {
	const path = "github.com/imgforge/imgforge"
	sum := sha256.Sum256(m.helper)
	info, err := buildinfo.Read(bytes.NewReader(m.helper))
	if err != nil {
		return nil, err
	}
	version := info.Main.Version
	c := attest.Component{Name: helperProgram, Version: version, Purpose: attest.Application, PURL: attest.Module(path, version), License: "Apache-2.0",
		Digest: "sha256:" + hex.EncodeToString(sum[:]), In: in}
	return append([]attest.Component{c}, modules(bytes.NewReader(m.helper), in)...), nil
}
