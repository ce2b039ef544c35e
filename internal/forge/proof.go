package forge

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/imgforge/imgforge/images/attest"
	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/inventory"
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
	var err error
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
	if f.Components, err = m.components(base, disks, inExtension, inBundle); err != nil {
		return err
	}
	f.Parameters = m.programsFrom("sha256:" + m.digest)
	maps.Copy(f.Parameters, attest.Parameters{"cluster": m.plan.Cluster, "provider": m.plan.Platform.Provider, "images": disks, "sealed": !m.o.Unsealed})
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

// components are everything that is inside, each with where it is.
func (m *imaging) components(base string, disks, inExtension, inBundle []string) ([]attest.Component, error) {
	l := &partsList{}
	// keepalived's image carries the helper too.
	helper, err := m.helperComponents(union(inExtension, inBundle))
	if err != nil {
		return nil, err
	}
	for _, c := range slices.Concat(m.programComponents(inExtension), m.debianComponents(inExtension, inBundle), m.imageComponents(inBundle), helper) {
		l.add(c)
	}
	if base != "" {
		if err := m.baseInside(l, l.add(m.baseComponent(base, disks))); err != nil {
			return nil, err
		}
	}
	if err := m.programsInside(l, inExtension); err != nil {
		return nil, err
	}
	if err := m.imagesInside(l); err != nil {
		return nil, err
	}
	return l.all, nil
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
			PURL: attest.Debian(p.Name, p.Version, m.plan.OS.Arch, "debian-"+m.lock.Debian.Release)}
		if slices.Contains(p.Use, catalog.UseSysext) {
			c.In = union(c.In, inExtension)
		}
		if slices.Contains(p.Use, catalog.UseKeepalived) {
			c.In = union(c.In, inBundle)
		}
		if len(c.In) == 0 {
			continue // it made the base
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
	out := []attest.Component{c}
	for _, module := range inventory.Modules(info) {
		module.In = in
		out = append(out, module)
	}
	return out, nil
}
