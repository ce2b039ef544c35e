package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// Base is an operating system that nodes boot, as its project publishes it.
type Base struct {
	Family  string // flatcar | fcos | debian, as os.family has it
	Channel string // as os.channel has it: stable, beta, lts, 12, 13
	Arch    string // amd64 | arm64
	// Format is how the image is published: qcow2, or a raw disk in bz2 or xz.
	Format string
	// Partitions are the labels that baking looks for; never offsets.
	Partitions Partitions
	// Config says where the first boot looks for a baked configuration.
	Config Config
	// Ships is what the image has itself.
	Ships Ships
	// Trust says in words how a download is verified.
	Trust string
	// Keys names the OpenPGP keys of [Keys] that sign it; empty where nothing is signed.
	Keys string
}

// Partitions are GPT labels; empty where the system has no such partition.
type Partitions struct {
	EFI, Boot, Root, OEM, Config string
}

// Config is where a configuration is baked in.
type Config struct {
	Partition string // label of the file system that holds it
	Path      string // inside that file system
	Mode      uint32 // permission bits of the file
	// FirstBoot is the file, on the partition FirstBootOn, whose presence makes the
	// next boot the first one.
	FirstBoot, FirstBootOn string
	Note                   string
}

// Ships is what an image brings that nodes need.
type Ships struct {
	Containerd bool // 2 or newer
	Nft        bool
	WireGuard  bool // wg
	Conntrack  bool
	Ethtool    bool
	SELinux    bool // enforced
	Ignition   bool
	CloudInit  bool
}

// Bases is every base of the catalogue.
func Bases() []Base {
	var out []Base
	for _, arch := range [...]string{"amd64", "arm64"} {
		for _, channel := range [...]string{"stable", "beta", "lts", "alpha"} {
			out = append(out, flatcar(channel, arch))
		}
		for _, stream := range [...]string{"stable", "testing", "next"} {
			out = append(out, fcos(stream, arch))
		}
		for _, release := range [...]string{"12", "13"} {
			out = append(out, debian(release, arch))
		}
	}
	return out
}

// Find is the base of a family, channel and architecture. Where the channel is a
// version of Flatcar, it is returned, too: the second number tells its channel.
func Find(family, channel, arch string) (b Base, version string, err error) {
	name := channel
	if parts := strings.Split(channel, "."); family == "flatcar" && len(parts) == 3 {
		version, name = channel, map[string]string{"0": "alpha", "1": "beta", "2": "stable", "3": "lts"}[parts[1]]
	}
	if family == "flatcar" && strings.HasPrefix(channel, "lts-") {
		name = "lts"
	}
	for _, b := range Bases() {
		if b.Family == family && b.Channel == name && b.Arch == arch {
			return b, version, nil
		}
	}
	return Base{}, "", fmt.Errorf("the catalogue has no %s %s for %s: it has %s", family, channel, arch, strings.Join(names(), ", "))
}

// ShipsOf is what a system has, those that the catalogue has no image of included:
// imgforge's own base is made of Debian packages and has their tools, and of
// Ubuntu's images nothing is counted on.
func ShipsOf(family, channel, arch string) (Ships, error) {
	switch family {
	case "imgforge":
		return Ships{Nft: true, WireGuard: true, Conntrack: true, Ethtool: true, Ignition: true}, nil
	case "ubuntu":
		return Ships{CloudInit: true}, nil
	}
	b, _, err := Find(family, channel, arch)
	return b.Ships, err
}

// Has tells whether a family is in the catalogue at all.
func Has(family string) bool {
	return slices.ContainsFunc(Bases(), func(b Base) bool { return b.Family == family })
}

func names() []string {
	var out []string
	for _, b := range Bases() {
		if b.Arch == "amd64" {
			out = append(out, b.Family+" "+b.Channel)
		}
	}
	return out
}

// flatcar: partitions and paths as in the project's disk_layout.json and the
// Ignition module of its initrd. All images since 4593 (October 2025) have larger
// partitions than those before: labels are what stays.
func flatcar(channel, arch string) Base {
	// The long-term channel stays with the containerd that it began with, which may be 1.7.
	recent := channel != "lts"
	return Base{Family: "flatcar", Channel: channel, Arch: arch, Format: "bz2",
		Partitions: Partitions{EFI: "EFI-SYSTEM", Root: "ROOT", OEM: "OEM"},
		Config: Config{Partition: "OEM", Path: "/config.ign", Mode: 0o600, FirstBoot: "/flatcar/first_boot", FirstBootOn: "EFI-SYSTEM",
			Note: "takes precedence: user-data of the provider is then not read; OEM is btrfs with zlib, and its grub.cfg and sysexts must stay"},
		Ships: Ships{Containerd: recent, Nft: true, WireGuard: true, Conntrack: true, Ethtool: true, Ignition: true},
		Trust: "SHA512 of a list that the Flatcar image signing key signs", Keys: "flatcar"}
}

// fcos: partitions as in the project's storage documentation, the configuration
// where its installer puts it.
func fcos(stream, arch string) Base {
	return Base{Family: "fcos", Channel: stream, Arch: arch, Format: "xz",
		Partitions: Partitions{EFI: "EFI-SYSTEM", Boot: "boot", Root: "root"},
		Config: Config{Partition: "boot", Path: "/ignition/config.ign", Mode: 0o600, FirstBoot: "/ignition.firstboot", FirstBootOn: "boot",
			Note: "the folder is 0700; ignition.platform.id stands in /loader/entries/*.conf and is metal in this image"},
		Ships: Ships{Containerd: true, Nft: true, WireGuard: true, SELinux: true, Ignition: true},
		Trust: "SHA256 of the stream metadata, and a signature of Fedora's key over the image, checked when it is fetched", Keys: "fedora"}
}

// debian: generic cloud images. The list of hashes is not signed: what vouches
// for it is the site's certificate on the day of locking.
func debian(release, arch string) Base {
	return Base{Family: "debian", Channel: release, Arch: arch, Format: "qcow2",
		// The images name their file systems' partitions by type alone; only the EFI one is told apart.
		Partitions: Partitions{Config: "cidata"},
		Config:     Config{Partition: "cidata", Path: "/user-data", Mode: 0o600, Note: "cloud-init's NoCloud: meta-data and network-config beside it"},
		Ships:      Ships{CloudInit: true},
		Trust:      "SHA512 of the list that is published beside it, which nobody signs: it is as good as HTTPS on the day of locking"}
}
