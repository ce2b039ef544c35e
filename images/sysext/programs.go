package sysext

import (
	"fmt"
	"slices"
)

// CNIFolder is where the plugins for networks of pods lie in the image. Nothing is
// shipped below /opt, which would become read-only there: imgforge-node links them
// into /opt/cni/bin, where network add-ons write their own.
const CNIFolder = "usr/lib/imgforge/cni"

// Program is something that an extension brings.
type Program struct {
	Name string // of the command
	Path string // in the image
	// Debian is the package that has it, when it comes from one. Its libraries come
	// along, with the loader that they need. Programs that run themselves again, as
	// runc does, cannot come from a package and are static.
	Debian string
}

// Programs lists what the extension of a family of systems brings, by name: what runs
// Kubernetes, and what the system itself lacks or has in too old a version.
//
//   - flatcar has containerd 2, runc, conntrack, nft, ethtool and wg: coreos-base's ebuild
//   - fcos has containerd 2, runc, nft and wg: fedora-coreos-config's manifests
//   - debian and ubuntu count as having nothing: cloud images are cut down, and
//     Debian 12's containerd is 1.6
//   - imgforge, the base made from Debian packages, has all but containerd 2 and a runc
//     that goes with it
func Programs(family string) ([]Program, error) {
	lacks, ok := map[string][]string{
		"flatcar":  {"tincd"},
		"fcos":     {"conntrack", "ethtool", "tincd"},
		"debian":   {"conntrack", "containerd", "ethtool", "nft", "runc", "tincd", "wg"},
		"ubuntu":   {"conntrack", "containerd", "ethtool", "nft", "runc", "tincd", "wg"},
		"imgforge": {"containerd", "runc"},
	}[family]
	if !ok {
		return nil, fmt.Errorf("no extension is made for the family %q: it is one of flatcar, fcos, debian, ubuntu and imgforge", family)
	}
	out := []Program{bin("crictl"), bin("imgforge-node"), bin("kubectl"), bin("kubelet")}
	for _, name := range plugins() {
		out = append(out, Program{Name: name, Path: CNIFolder + "/" + name})
	}
	packages := map[string]string{"conntrack": "conntrack", "ethtool": "ethtool", "nft": "nftables", "tincd": "tinc", "wg": "wireguard-tools"}
	for _, name := range lacks {
		switch {
		case name == "containerd":
			out = append(out, bin("containerd"), bin("containerd-shim-runc-v2"), bin("ctr"))
		default:
			p := bin(name)
			p.Debian = packages[name]
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Program) int {
		if a.Path < b.Path {
			return -1
		}
		return 1
	})
	return out, nil
}

func bin(name string) Program { return Program{Name: name, Path: "usr/bin/" + name} }

// plugins are those of the CNI project that a node's networks are made of: flannel's
// own plugin calls bridge, host-local and portmap, and containerd wants loopback.
func plugins() []string {
	return []string{"bandwidth", "bridge", "firewall", "host-local", "loopback", "portmap", "ptp", "tuning"}
}
