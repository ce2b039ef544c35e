#!/bin/sh
# What systemd-networkd does with a .netdev of WireGuard, for a kernel that has
# none: the interface is a program's, and its keys and peers are those of the file.
set -eu

file=/etc/systemd/network/20-imgforge-mesh.netdev

value() { sed -n "s/^$1=//p" "$file" | head -n 1; }

interface=$(value Name)
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
	}' "$file" >/run/imgforge-lab/wireguard.conf
	wg setconf "$interface" /run/imgforge-lab/wireguard.conf
	ip link set "$interface" mtu "$(value MTUBytes)"
	;;
esac
