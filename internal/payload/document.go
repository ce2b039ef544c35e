// Package payload turns a neutral document (files, units, links) into what a
// node's first boot reads: Ignition through butane, or cloud-init converted
// from that same Ignition. It is pure: no file, clock, randomness or network.
package payload

import "github.com/imgforge/imgforge/internal/artifact"

// Secrets is what rendering needs from a store. IDs are those of
// plan.Certificate, plan.Key and plan.Certificate.Authority.
type Secrets interface {
	// Authority is the PEM certificate of an authority.
	Authority(name string) ([]byte, error)
	// AuthorityKey is the PEM private key of an authority that nodes carry: kubelet-signer only.
	AuthorityKey(name string) ([]byte, error)
	// Certificate is a leaf's PEM certificate.
	Certificate(id string) ([]byte, error)
	// PrivateKey is a leaf's PEM private key.
	PrivateKey(id string) ([]byte, error)
	// Public is the public half of a key in its consumer's encoding.
	Public(id string) ([]byte, error)
	// Secret is a key in its consumer's encoding.
	Secret(id string) ([]byte, error)
	// Recipients are the age public keys of those who open the store's authorities.
	Recipients() []string
}

// Document is what one role, or one node, boots from, independent of format.
type Document struct {
	// Target is the role or node name, which names files under out/.
	Target string
	Role   string
	Node   string // "" for a role document
	// Variant and Version are the butane variant that carries it.
	Variant, Version string

	Files []artifact.File
	// Remotes are files that nodes fetch, whatever their size.
	Remotes     []Remote
	Directories []Directory
	Links       []Link
	Units       []Unit
	Disks       []Disk
	Filesystems []Filesystem
	KernelArgs  []string
	// Slots are the per-node parts of a role document, claimed at first boot.
	Slots []artifact.Slot
	// Proxy is what the first boot fetches through; nil for none.
	Proxy *Proxy
	// Extra is the user's own Butane, merged last.
	Extra []Snippet
}

// Remote is a file that stands under Options.ArtifactsURL where [FetchedPath] says.
type Remote struct {
	Path   string
	Mode   uint32 // 0 is 0644
	SHA256 string // hex
}

// Proxy is Ignition's: URLs for either scheme, and what is reached without.
type Proxy struct {
	HTTP, HTTPS string
	No          []string
}

// Directory is made before files are written.
type Directory struct {
	Path        string
	Mode        uint32
	User, Group string
}

// Link is a symbolic link.
type Link struct{ Path, Target string }

// Unit is a systemd unit. A unit without contents only enables, disables or masks.
type Unit struct {
	Name     string
	Enabled  *bool
	Mask     bool
	Contents string
	Dropins  []Dropin
}

// Dropin is a fragment of a unit.
type Dropin struct{ Name, Contents string }

// Disk is a partition table to write.
type Disk struct {
	Device     string
	WipeTable  bool
	Partitions []Partition
}

// Partition is one entry of a disk. Sizes are in MiB; 0 means the rest.
type Partition struct {
	Label   string
	Number  int
	SizeMiB int
}

// Filesystem is made when the device holds none, and mounted when Path is set.
type Filesystem struct {
	Device, Format, Label, Path string
	MountUnit                   bool
}

// Snippet is one piece of the user's Butane and where it stands in the cluster file.
type Snippet struct {
	Path string // extra.worker
	Text string
	// File and Line place the first line of Text for problems; Line 0 is unknown.
	File string
	Line int
	// Col is the column of the first character of Text, which a block scalar
	// indents; 0 is unknown, and problems then point at column 1.
	Col int
}
