#!/bin/bash
# What the initrd of imgforge's base does besides Ignition. dracut sets the folders.
# shellcheck disable=SC2154

check() { return 0; }

depends() { echo ignition systemd; }

installkernel() {
	hostonly='' instmods squashfs isofs vfat nls_cp437 nls_ascii nls_utf8 nls_iso8859-1
}

install() {
	inst_multiple cat cp find journalctl mkdir mount rm sync touch umount udevadm
	inst_script "$moddir/setfiles" /usr/sbin/setfiles
	inst_script "$moddir/imgforge-why" /usr/lib/imgforge/initrd-why
	local emergency
	for emergency in emergency dracut-emergency; do
		inst_simple "$moddir/emergency.conf" "$systemdsystemunitdir/$emergency.service.d/imgforge.conf"
	done
	local step
	for step in config root provisioned; do
		inst_script "$moddir/imgforge-$step" "/usr/lib/imgforge/initrd-$step"
		inst_simple "$moddir/imgforge-$step.service" "$systemdsystemunitdir/imgforge-$step.service"
	done
	local pair
	for pair in config:ignition-complete.target root:initrd-root-fs.target provisioned:ignition-complete.target; do
		mkdir -p "$initdir$systemdsystemunitdir/${pair#*:}.requires"
		ln_r "$systemdsystemunitdir/imgforge-${pair%%:*}.service" "$systemdsystemunitdir/${pair#*:}.requires/imgforge-${pair%%:*}.service"
	done
}
