package debianbase

// Release is the Debian that the base is made of.
const Release = "12"

// Packages are what the system of a node carries, without what they need. There is
// no SSH server among them, and nothing that asks a person.
func Packages() []string {
	return []string{"ca-certificates", "conntrack", "curl", "dbus", "e2fsprogs", "ethtool", "gdisk", "iproute2", "ipset", "iptables", "iputils-ping", "kmod",
		"libnss-resolve", "linux-image-cloud-amd64", "mount", "netbase", "nftables", "openssl", "procps", "socat", "systemd", "systemd-resolved",
		"systemd-sysv", "systemd-timesyncd", "tinc", "tzdata", "udev", "usr-is-merged", "util-linux", "wireguard-tools"}
}

// MakingPackages are what the initrd and the boot loaders are made with. They are
// taken out again before the system is packed.
func MakingPackages() []string {
	return []string{"dracut", "dracut-core", "grub-common", "grub-efi-amd64-bin", "grub-pc-bin", "ignition"}
}
