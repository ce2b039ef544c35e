// Package attest writes what proves an output folder to somebody who was not there: an
// SPDX list of all that is inside, an in-toto statement of what it was made of, and a
// signature. The same values give the same bytes: nothing here reads a clock, a host or
// a file system.
package attest

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// SHA256 is how a digest of that kind begins.
const SHA256 = "sha256"

// Purposes of components, in SPDX's words (SPDX 2.3, 7.24).
const (
	OperatingSystem = "OPERATING-SYSTEM"
	Application     = "APPLICATION"
	Library         = "LIBRARY"
	Container       = "CONTAINER"
)

// Component is one thing that went into an output folder: a binary, a package, a
// container image, the operating system's image.
type Component struct {
	Name, Version string
	Purpose       string
	// PURL names it in any tool's database (package-url.org).
	PURL string
	// URL is where it was taken from; "" when it was made here.
	URL string
	// Digest is sha256:HEX or sha512:HEX of what was taken; "" where a thing has none of its own.
	Digest string
	// License is an SPDX expression; "" when the source does not say.
	License string
	// In are the paths of the files of the folder that contain it, and Inside the package
	// URLs of other components that do. What is inside of others alone was not taken from
	// anywhere by itself, and provenance leaves it out.
	In, Inside []string
}

// File is a file of the folder, as its manifest has it.
type File struct {
	Path   string
	SHA256 string // hex
}

// Parameters are what the builder was asked for, by name: strings, numbers, lists.
type Parameters map[string]any

// Folder is what is attested.
type Folder struct {
	Cluster    string
	Files      []File
	Components []Component
	Parameters Parameters
	// Builder is the version of imgforge.
	Builder string
	// Created is the time that SPDX insists on, RFC 3339 in UTC. It is a constant of
	// imgforge and says nothing of when a folder was built.
	Created string
}

// sorted is the folder with its lists in one order, so that callers need none.
func (f Folder) sorted() Folder {
	f.Files = slices.SortedFunc(slices.Values(f.Files), func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	f.Components = slices.SortedFunc(slices.Values(f.Components), func(a, b Component) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.PURL, b.PURL), cmp.Compare(a.Digest, b.Digest))
	})
	return f
}

// split takes a digest apart; ok is false for what neither format knows.
func split(digest string) (algorithm, hex string, ok bool) {
	algorithm, hex, ok = strings.Cut(digest, ":")
	return algorithm, hex, ok && (algorithm == "sha256" && len(hex) == 64 || algorithm == "sha512" && len(hex) == 128)
}

// Generic is the package URL of a download that no ecosystem knows.
func Generic(name, version, from, digest string) string {
	return purl("generic", name, version, map[string]string{"checksum": digest, "download_url": from})
}

// Debian is the package URL of a Debian package.
func Debian(name, version, arch, release string) string {
	return Packaged("deb", "debian", name, version, arch, release)
}

// IsDebian tells the package URL of a Debian package.
func IsDebian(purl string) bool { return strings.HasPrefix(purl, "pkg:deb/debian/") }

// Packaged is the package URL of a distribution's package: of a kind such as deb or
// apk, a vendor as os-release calls it, and a release such as debian-12.
func Packaged(kind, vendor, name, version, arch, release string) string {
	return purl(kind+"/"+vendor, name, version, map[string]string{"arch": arch, "distro": release})
}

// RPM is the package URL of a package of RPM's: the version with its release, the epoch
// apart and "" where there is none.
func RPM(vendor, name, epoch, version, arch, release string) string {
	return purl("rpm/"+vendor, name, version, map[string]string{"arch": arch, "epoch": epoch, "distro": release})
}

// Ebuild is the package URL of a package of Gentoo's kind, named with its category.
func Ebuild(name, version string) string { return purl("ebuild", name, version, nil) }

// Module is the package URL of a Go module.
func Module(path, version string) string { return purl("golang", path, version, nil) }

// OCI is the package URL of a container image by its digest; ref is name:tag.
func OCI(ref, digest string) string {
	repository, tag := ref, ""
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		repository, tag = ref[:i], ref[i+1:]
	}
	name := repository[strings.LastIndexByte(repository, '/')+1:]
	return purl("oci", name, digest, map[string]string{"repository_url": repository, "tag": tag})
}

// purl builds a package URL: names lower case where the kinds used here want it,
// everything escaped, qualifiers sorted and never empty.
func purl(kind, name, version string, qualifiers map[string]string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = escape(parts[i])
	}
	out := "pkg:" + kind + "/" + strings.Join(parts, "/")
	if version != "" {
		out += "@" + escape(version)
	}
	var words []string
	for k, v := range qualifiers {
		if v != "" {
			words = append(words, k+"="+escape(v))
		}
	}
	slices.Sort(words)
	if len(words) > 0 {
		out += "?" + strings.Join(words, "&")
	}
	return out
}

// escape percent-encodes all but what the specification leaves as it is.
func escape(s string) string {
	return strings.NewReplacer("+", "%20", "%3A", ":").Replace(url.QueryEscape(s))
}

// check refuses what would make a document that says less than it seems to.
func (f Folder) check() error {
	if len(f.Files) == 0 {
		return fmt.Errorf("attest: no files")
	}
	known, others := map[string]bool{}, map[string]bool{}
	for _, c := range f.Components {
		others[c.PURL] = true
	}
	for _, file := range f.Files {
		if len(file.SHA256) != 64 {
			return fmt.Errorf("attest: %s has no sha256", file.Path)
		}
		known[file.Path] = true
	}
	for _, c := range f.Components {
		if c.Name == "" || c.PURL == "" || c.Purpose == "" {
			return fmt.Errorf("attest: component %q needs name, purpose and package URL", c.Name)
		}
		if _, _, ok := split(c.Digest); c.Digest != "" && !ok {
			return fmt.Errorf("attest: component %q: %q is neither sha256 nor sha512", c.Name, c.Digest)
		}
		for _, in := range c.In {
			if !known[in] {
				return fmt.Errorf("attest: component %q is in %s, which is no file of the folder", c.Name, in)
			}
		}
		for _, outer := range c.Inside {
			if !others[outer] || outer == c.PURL {
				return fmt.Errorf("attest: component %q is inside %s, which is no other component", c.Name, outer)
			}
		}
	}
	return nil
}
