package sysext

import (
	"slices"
	"strings"
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
	// For is the mesh that needs it, tinc or wireguard; "" when every node does.
	For string
}

// Shipped is what a system has itself, in a version that does. A release that has more
// than another is another system here.
type Shipped struct {
	Containerd bool // 2 or later, with a runc
	Conntrack  bool
	Ethtool    bool
	Nft        bool
	WireGuard  bool // its tool: wg
}

// Programs lists what the extension of a system brings, by path: what runs Kubernetes,
// and what the system lacks. No system has tinc.
func Programs(s Shipped) []Program {
	out := []Program{bin("crictl"), bin("imgforge-node"), bin("kubectl"), bin("kubelet")}
	for _, name := range plugins() {
		out = append(out, Program{Name: name, Path: CNIFolder + "/" + name})
	}
	if !s.Containerd {
		out = append(out, bin("containerd"), bin("containerd-shim-runc-v2"), bin("ctr"), bin("runc"))
	}
	for _, p := range []struct {
		has                 bool
		name, debian, needs string
	}{
		{s.Conntrack, "conntrack", "conntrack", ""},
		{s.Ethtool, "ethtool", "ethtool", ""},
		{s.Nft, "nft", "nftables", ""},
		{false, "tincd", "tinc", "tinc"},
		{s.WireGuard, "wg", "wireguard-tools", "wireguard"},
	} {
		if !p.has {
			out = append(out, Program{Name: p.name, Path: "usr/bin/" + p.name, Debian: p.debian, For: p.needs})
		}
	}
	slices.SortFunc(out, func(a, b Program) int { return strings.Compare(a.Path, b.Path) })
	return out
}

func bin(name string) Program { return Program{Name: name, Path: "usr/bin/" + name} }

// plugins are those of the CNI project that a node's networks are made of: flannel's
// own plugin calls bridge, host-local and portmap, and containerd wants loopback.
func plugins() []string {
	return []string{"bandwidth", "bridge", "firewall", "host-local", "loopback", "portmap", "ptp", "tuning"}
}
