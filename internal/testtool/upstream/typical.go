package upstream

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/debianbase"
)

// packages is an index of Debian packages in small: alternatives, versions in
// relations, a virtual package, a circle, and what only installing needs.
const packages = `Package: conntrack
Version: 1:1.4.7-1+b2
Depends: libc6 (>= 2.34), libmnl0 (>= 1.0.3-4~)

Package: dpkg
Version: 1.21.22

Package: ethtool
Version: 1:6.1-1
Depends: libc6 (>= 2.34), libmnl0 (>= 1.0.3-4~)

Package: keepalived
Version: 1:2.2.7-1+b2
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: iproute2 | virtual-ip, libc6 (>= 2.34), libssl3 (>= 3.0.0)

Package: iproute
Version: 6.1.0-3
Provides: virtual-ip
Depends: libmnl0

Package: init-system-helpers
Version: 1.65.2

Package: libc6
Version: 2.36-9+deb12u10
Depends: libgcc-s1
Recommends: libidn2-0

Package: libgcc-s1
Version: 12.2.0-14
Depends: libc6 (>= 2.35)

Package: libmnl0
Version: 1.0.4-3
Depends: libc6:any

Package: libssl3
Version: 3.0.17-1~deb12u2
Depends: libc6 (>= 2.34)

Package: nftables
Version: 1.0.6-2+deb12u2
Depends: dpkg (>= 1.20), libc6 (>= 2.34), libmnl0

Package: tinc
Version: 1.0.36-2+b2
Depends: libc6 (>= 2.34), libssl3 (>= 3.0.0)

Package: wireguard-tools
Version: 1.0.20210914-1+b1
Depends: libc6 (>= 2.34)
`

// security is what the archive of security updates has: a newer library, and one
// that is older than the release's own.
const security = `Package: libssl3
Version: 3.0.17-1~deb12u3
Depends: libc6 (>= 2.34)

Package: nftables
Version: 1.0.6-2+deb12u1
Depends: libc6 (>= 2.34)
`

// Typical publishes what typical clusters take: bases, programs in the
// catalogue's versions and newer ones, a snapshot of Debian's archive, and images.
func (s *Site) Typical(snapshot string, images []string) error {
	steps := []error{
		s.FedoraCoreOS("stable", "44.20260802.3.1"), s.DebianImage("12", "amd64", "20260601-2496"),
		s.Debian("12", snapshot, packages, security),
	}
	for _, arch := range [...]string{"amd64", "arm64"} {
		steps = append(steps, s.Flatcar("stable", arch, "4459.2.1"))
		for _, kubernetes := range [...]string{"1.35.4", "1.36.3", "1.36.4"} {
			for name, version := range catalog.Versions(kubernetes) {
				steps = append(steps, s.Program(name, version, arch))
			}
		}
		steps = append(steps, s.Program(catalog.Runc, "1.5.1", arch))
	}
	for _, image := range images {
		steps = append(steps, s.Image(image, "1"))
	}
	for _, err := range steps {
		if err != nil {
			return err
		}
	}
	return nil
}

// Base publishes the snapshot once more, with what imgforge's own base is made of.
func (s *Site) Base(snapshot string) error {
	var more strings.Builder
	for _, name := range slices.Concat(debianbase.Packages(), debianbase.MakingPackages()) {
		if !strings.Contains("\n"+packages, "\nPackage: "+name+"\n") {
			fmt.Fprintf(&more, "\nPackage: %s\nVersion: 1.0-1\n", name)
		}
	}
	return s.Debian("12", snapshot, packages+more.String(), security)
}
