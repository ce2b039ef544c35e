package lab

import (
	"path"
	"strings"
)

// machineOverrides are what the lab adds to a virtual machine that boots the base. No
// file of the payload is replaced or left out.
func machineOverrides() ([]Override, error) {
	list := []Override{
		{Path: "a second disk of every virtual machine", Text: "What a baked node has on its own: the product's system extension and bundles. containerd's folder is on it too, with the bundles imported by the code of imgforge-images.service, which finds that so:\n" +
			"an emulated processor unpacks them for minutes. A second extension, " + ownExtension + ", has etcdctl, which the lab's checks call, and Debian's qemu-guest-agent, which runs them inside over a port that qemu alone leads to. Payloads do not know of either."},
		{Path: "/" + machineConfig + ", in the initrd of every virtual machine", Text: "Behind the base's own initrd, an archive of this one file: a config of Ignition's that goes before the payload and adds the units below and links to what is on the second disk."},
	}
	err := eachMachineUnit(func(name, text string) error {
		list = append(list, Override{Path: path.Join("/etc/systemd/system", name), Text: text})
		return nil
	})
	return append(list,
		Override{Path: "kernel arguments of every virtual machine", Text: "Those of the base's boot loader, with ignition.firstboot at the first boot alone, and net.ifnames=0 mitigations=off audit=0 panic=-1,\n" +
			strings.Join(emulated(), " ") + " where the processor is emulated; imgforge.node=NAME where the payload is a role's: a machine without a provider has no name of its own."},
		Override{Path: "kernel arguments of vm-wireguard, vm-tinc and vm-clock", Text: "systemd.mask=kubelet.service, systemd.wants=imgforge-etcd-guard.service and, in vm-clock, imgforge-time.service (which the kubelet would start), and ip=ADDRESS of the network below the mesh, which a provider's DHCP would give.\n" +
			"Instead of a kubelet, ctr runs the pods of etcd and, in vm-tinc, keepalived, by their own manifests, with the images, commands and mounts in them;\n" +
			"in vm-tinc a haproxy with the API server's certificate answers ok, which is what keepalived asks for."}), err
}
