#!/bin/sh
# What systemd-networkd does with a .netdev of WireGuard and its .network, for a
# kernel that has none: the interface is a program's, and its keys, peers and
# address are those of the files. networkd itself leaves an interface alone that is
# of another kind than its .netdev says.
set -eu

files=/etc/systemd/network/20-imgforge-mesh

value() { sed -n "s/^$1=//p" "$files.$2" | head -n 1; }

interface=$(value Name netdev)
case $1 in
run)
	LOG_LEVEL=silent exec wireguard-go --foreground "$interface"
	;;
configure)
	until wg show "$interface" >/dev/null 2>&1; do sleep 0.1; done
	umask 077
	# The same settings under the same names, in the sections that wg reads.
	sed -n -e '/^\[WireGuard\]$/,$ {
		s/^\[WireGuard\]$/[Interface]/
		s/^\[WireGuardPeer\]$/[Peer]/
		p
	}' "$files.netdev" >/run/imgforge-lab/wireguard.conf
	wg setconf "$interface" /run/imgforge-lab/wireguard.conf
	ip address replace "$(value Address network)" dev "$interface"
	ip link set "$interface" mtu "$(value MTUBytes netdev)" up
	;;
esac
