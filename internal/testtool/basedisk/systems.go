package basedisk

import (
	"fmt"
	"strings"
	"testing"
)

// esp is an EFI system partition; with Flatcar's file that says that no boot was yet.
func esp(label string, firstBoot bool) func(testing.TB, string) {
	return func(t testing.TB, path string) {
		program(t, "mkfs.vfat", "-F", "32", "-n", label, path)
		program(t, "mmd", "-i", path, "::/EFI", "::/EFI/boot", "::/flatcar", "::/flatcar/grub")
		if firstBoot {
			program(t, "mcopy", "-i", path, "/dev/null", "::/flatcar/first_boot")
		}
	}
}

// Types of partitions (UEFI, the discoverable partitions specification, Flatcar's
// disk_layout.json).
const (
	typeBIOS     = "21686148-6449-6E6F-744E-656564454649"
	typeESP      = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
	typeLinux    = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
	typeBoot     = "BC13C2FF-59E6-4262-A352-B275FD6F7172"
	typeRootX86  = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
	typeFlatcar  = "5DFBF5F4-2848-4BAC-AA5E-0D9A20B745A6"
	typeFlatcarR = "3884DD41-8582-4404-B9A8-E9B84F2DF50E"
)

// GrubCfg is an OEM partition's, as Flatcar's build writes it for a platform.
const GrubCfg = "# Flatcar GRUB settings\n\nset oem_id=\"scaleway\"\nset linux_console=\"console=ttyS0,115200n8 earlycon=ttyS0,115200\"\n"

// Sizes are those of Flatcar's partitions, in sectors: efi, usr, oem, root.
type Sizes [4]int64

// Since4593 are those of disk_layout.json.
func Since4593() Sizes { return Sizes{2097152, 4194304, 2097152, 3653632} }

// Before are those of disk_layout.json before version 4593.
func Before() Sizes { return Sizes{262144, 2097152, 262144, 4427776} }

// Small ones are quick to copy.
func Small() Sizes { return Sizes{131072, 16384, 262144, 131072} }

// Flatcar has the table of disk_layout.json: numbers, labels, types, GUIDs and
// attributes. firstBoot tells that it was not booted yet.
func Flatcar(t testing.TB, s Sizes, firstBoot bool) string {
	t.Helper()
	efi, usr, oem, root := s[0], s[1], s[2], s[3]
	oemFiles := folder(t, map[string]string{"grub.cfg": GrubCfg, "oem-release": "ID=scaleway\n", "sysext/oem-scaleway.raw": strings.Repeat("sysext ", 30000)})
	return assemble(t, "00000000-0000-0000-0000-000000000001", 4096, []fixture{
		{1, "EFI-SYSTEM", typeESP, "", efi, "", esp("EFI-SYSTEM", firstBoot)},
		{2, "BIOS-BOOT", typeBIOS, "", 4096, "", noise(2, 60000)},
		{3, "USR-A", typeFlatcar, "7130c94a-213a-4e5a-8e26-6cce9662f132", usr, "GUID:48,56", noise(3, 5<<20)},
		{4, "USR-B", typeFlatcar, "e03dd35c-7c2d-4a47-b3fe-27f15780a57c", usr, "", nil},
		{6, "OEM", typeLinux, "", oem, "", func(t testing.TB, path string) {
			program(t, "mkfs.btrfs", "-q", "--mixed", "-m", "single", "-d", "single", "--byte-count", fmt.Sprint(oem*512), "--label", "OEM", "--rootdir", oemFiles, path)
			truncated(t, path, oem*512)
		}},
		{7, "OEM-CONFIG", "c95dc21a-df0e-4340-8d7b-26cbfa9a03e0", "", 131072, "", nil},
		{9, "ROOT", typeFlatcarR, "", root, "", mkfs("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-L", "ROOT", "-E", "lazy_itable_init=1,lazy_journal_init=1")},
	})
}

// BLS is a boot entry of Fedora CoreOS.
const BLS = `title Fedora CoreOS 44.20260802.3.1 (ostree:0)
version 1
options mitigations=auto,nosmt ignition.platform.id=metal $ignition_firstboot ostree=/ostree/boot.1/fedora-coreos/abc/0 console=tty0 console=ttyS0,115200n8
linux /ostree/fedora-coreos-abc/vmlinuz
initrd /ostree/fedora-coreos-abc/initramfs.img
`

const grubConsole = "set a=b\n\n# CONSOLE-SETTINGS-START\nserial --speed=115200\n# CONSOLE-SETTINGS-END\nset c=d\n"

// CoreOS has the table of the metal image of Fedora CoreOS: 512-byte sectors. Its root
// has 512 MiB. more are files of the boot partition besides, and less are those left out.
func CoreOS(t testing.TB, more map[string]string, less ...string) string {
	t.Helper()
	files := map[string]string{"ignition.firstboot": "", "loader": "-> loader.1", "loader.1/entries/ostree-1-fedora-coreos.conf": BLS,
		"grub2/grub.cfg": "source console\n", "grub2/console.cfg": grubConsole, "ostree/fedora-coreos-abc/vmlinuz": strings.Repeat("kernel", 100000),
		"coreos/platforms.json": `{"metal":{"kernel_arguments":["console=tty0","console=ttyS0,115200n8"],"grub_commands":["serial --speed=115200"]},
			"scaleway":{"kernel_arguments":["console=ttyS0"],"grub_commands":["serial com0","terminal_input serial"]}}`}
	for name, text := range more {
		files[name] = text
	}
	for _, name := range less {
		delete(files, name)
	}
	boot := folder(t, files)
	return assemble(t, "00000000-0000-4000-a000-000000000001", 2048, []fixture{
		{1, "BIOS-BOOT", typeBIOS, "", 2048, "LegacyBIOSBootable", noise(2, 60000)},
		{2, "EFI-SYSTEM", typeESP, "", 127 * 2048, "", esp("EFI-SYSTEM", false)},
		{3, "boot", typeBoot, "", 384 * 2048, "", mkfs("mke2fs", "-q", "-t", "ext4", "-O", "metadata_csum,metadata_csum_seed", "-L", "boot",
			"-U", "96d15588-3596-4b3c-adca-a2ff7279ea63", "-E", "root_owner=0:0", "-d", boot)},
		{4, "root", typeRootX86, "", 512 * 2048, "", mkfs("mkfs.xfs", "-q", "-L", "root", "-m", "uuid=910678ff-f77e-4a7d-8d53-86f2ac47a823")},
	})
}

// Debian has the table of Debian's generic cloud image: root has number 1 and lies
// last, and in it are the files given.
func Debian(t testing.TB, files map[string]string) string {
	t.Helper()
	return assemble(t, "5DC1A2F3-6E7E-4E41-8E60-A5E5F2B2B5A1", 2048, []fixture{
		{14, "", typeBIOS, "", 6144, "", noise(14, 60000)},
		{15, "", typeESP, "", 253952, "", mkfs("mkfs.vfat", "-n", "ESP")},
		{1, "", typeRootX86, "", 1024 * 2048, "", mkfs("mke2fs", "-q", "-t", "ext4", "-d", folder(t, files))},
	})
}
