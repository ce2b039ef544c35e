// Package lock is imgforge.lock: everything that a cluster is made of, each by
// version, URL, size and hash. It reads and writes the file, finds out what it
// must hold, and says where it and a cluster file differ.
package lock

import (
	"cmp"
	"slices"

	"github.com/imgforge/imgforge/images/cache"
)

// Schema is the version of the format.
const Schema = "imgforge/lock/v1"

// Lock is the file. Lists are sorted by name.
type Lock struct {
	Schema     string `yaml:"schema"`
	Cluster    string `yaml:"cluster"`
	Kubernetes string `yaml:"kubernetes"` // without v
	Arch       string `yaml:"arch"`
	OS         OS     `yaml:"os"`
	// Base is absent where the catalogue has none: os.family imgforge and ubuntu.
	Base     *Base     `yaml:"base,omitempty"`
	Programs []Program `yaml:"programs"`
	// Debian is absent where no package is needed.
	Debian *Debian `yaml:"debian,omitempty"`
	Images []Image `yaml:"images"`
}

// OS is what the cluster file asks for.
type OS struct {
	Family  string `yaml:"family"`
	Channel string `yaml:"channel"`
}

// File is something at a URL.
type File struct {
	URL    string       `yaml:"url"`
	Size   int64        `yaml:"size,omitempty"` // bytes; 0 when the server does not say
	Digest cache.Digest `yaml:"digest"`
}

// Base is the operating system's image.
type Base struct {
	Version string `yaml:"version"`
	File    `yaml:",inline"`
	Format  string `yaml:"format"` // bz2 | xz | qcow2
	// SignedBy is the fingerprint of the OpenPGP key that signed the hash above.
	SignedBy string `yaml:"signedBy,omitempty"`
	// Signature is over the image itself; it is checked when the image is fetched.
	Signature *Signature `yaml:"signature,omitempty"`
	// Packages are the lists of what the image is made of, as its project publishes
	// them beside it; absent where it does not, and in locks from before they were pinned.
	Packages []List `yaml:"packages,omitempty"`
}

// List is a list of packages.
type List struct {
	Name string `yaml:"name"` // image, or a system extension that lies in it
	File `yaml:",inline"`
	// SignedBy is the fingerprint of the OpenPGP key that signed it; absent where nobody does.
	SignedBy string `yaml:"signedBy,omitempty"`
}

// Signature is a detached OpenPGP signature.
type Signature struct {
	Keys string `yaml:"keys"` // whose: a name of the catalogue
	File `yaml:",inline"`
}

// Program is a binary or an archive of some.
type Program struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	File    `yaml:",inline"`
}

// Debian is a state of Debian's archive and the packages taken from it.
type Debian struct {
	Release  string              `yaml:"release"`
	Snapshot string              `yaml:"snapshot"`
	Wanted   map[string][]string `yaml:"wanted"` // use to packages that are asked for
	Packages []Package           `yaml:"packages"`
}

// Package is a Debian package.
type Package struct {
	Name    string   `yaml:"name"`
	Version string   `yaml:"version"`
	Use     []string `yaml:"use,flow"` // sysext, keepalived
	File    `yaml:",inline"`
}

// Image is a container image.
type Image struct {
	Name string `yaml:"name"` // name:tag, as the manifests have it
	// Made marks an image that imgforge makes itself, from Debian packages above.
	Made     bool         `yaml:"made,omitempty"`
	Index    cache.Digest `yaml:"index,omitempty"` // of all architectures
	Manifest cache.Digest `yaml:"manifest,omitempty"`
	Size     int64        `yaml:"size,omitempty"` // of its configuration and layers, in bytes
}

// Wanted is what a cluster file asks for: what the lock has to hold.
type Wanted struct {
	Cluster, Kubernetes, Arch string
	OS                        OS
	// Containerd tells that nodes need one, and runc: their system has none that fits.
	Containerd bool
	// Packages are the Debian packages that are asked for, by use and sorted; what
	// they depend on is found out.
	Packages map[string][]string
	// Images are the references of the rendered manifests, and containerd's sandbox.
	Images []string
	// Made are those of them that imgforge makes.
	Made []string
}

func (l *Lock) sort() {
	slices.SortFunc(l.Programs, func(a, b Program) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(l.Images, func(a, b Image) int { return cmp.Compare(a.Name, b.Name) })
	if l.Debian != nil {
		slices.SortFunc(l.Debian.Packages, func(a, b Package) int { return cmp.Compare(a.Name, b.Name) })
	}
}

// program finds what is pinned under a name.
func (l *Lock) program(name string) (Program, bool) {
	if l == nil {
		return Program{}, false
	}
	i := slices.IndexFunc(l.Programs, func(p Program) bool { return p.Name == name })
	if i < 0 {
		return Program{}, false
	}
	return l.Programs[i], true
}

func (l *Lock) image(name string) (Image, bool) {
	if l == nil {
		return Image{}, false
	}
	i := slices.IndexFunc(l.Images, func(p Image) bool { return p.Name == name })
	if i < 0 {
		return Image{}, false
	}
	return l.Images[i], true
}
