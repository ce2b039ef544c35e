package lab

// machineOverrides are what the lab adds to a virtual machine. No file of the
// payload is replaced or left out.
func machineOverrides() []Override {
	return []Override{
		{Path: "qemu-guest-agent, on the disk of every virtual machine", Text: "Debian's package, which runs the lab's looks inside over a port that qemu alone leads to. Payloads do not know of it."},
		{Path: "kernel arguments of every virtual machine", Text: "root=LABEL=root rw console=ttyS0 net.ifnames=0 mitigations=off audit=0 panic=-1 ignition.platform.id=..., ignition.firstboot at the first boot alone,\n" +
			"tsc=reliable no5lvl where the processor is emulated; imgforge.node=NAME where the payload is a role's: a machine without a provider has no name of its own."},
		{Path: "kernel arguments of vm-wireguard, vm-tinc and vm-clock", Text: "systemd.mask=kubelet.service, systemd.wants=imgforge-etcd-guard.service and, in vm-clock, imgforge-time.service (which the kubelet would start), and ip=ADDRESS of the network below the mesh, which a provider's DHCP would give.\n" +
			"Instead of a kubelet, ctr runs the pods of etcd and, in vm-tinc, keepalived, by their own manifests, with the images, commands and mounts in them;\n" +
			"in vm-tinc a haproxy with the API server's certificate answers ok, which is what keepalived asks for."},
	}
}
