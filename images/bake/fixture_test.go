package bake

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/internal/testtool"
)

// kept are the images that several tests start from: making one waits for the disk.
var kept struct {
	sync.Mutex
	dir   string
	paths map[string]string
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "imgforge-bake-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	kept.dir, kept.paths = dir, map[string]string{}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// once makes an image for all tests that ask for the same name.
func once(t testing.TB, name string, make func() string) string {
	t.Helper()
	kept.Lock()
	defer kept.Unlock()
	if kept.paths[name] == "" {
		path := filepath.Join(kept.dir, fmt.Sprint(len(kept.paths)))
		if err := os.Rename(make(), path); err != nil {
			t.Fatal(err)
		}
		kept.paths[name] = path
	}
	return kept.paths[name]
}

// fixture is a partition of an image: as sfdisk is told, and what makes its contents.
type fixture struct {
	number     int
	label      string
	kind, guid string
	sectors    int64
	attributes string                          // as sfdisk names them
	fill       func(t testing.TB, path string) // gets a file of the partition's size
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testtool.Path(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func truncated(t testing.TB, path string, size int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

// assemble lays partitions out one after another from the sector given.
func assemble(t testing.TB, diskGUID string, start int64, parts []fixture) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "base.img")
	// sfdisk waits for this file alone, sgdisk for every disk of the machine.
	script := "label: gpt\nlabel-id: " + diskGUID + "\nunit: sectors\nfirst-lba: 34\n\n"
	at := start
	var pieces []sparse.Piece
	for _, p := range parts {
		script += fmt.Sprintf("%d : start=%d, size=%d, type=%s, name=%q", p.number, at, p.sectors, p.kind, p.label)
		if p.guid != "" {
			script += ", uuid=" + p.guid
		}
		if p.attributes != "" {
			script += fmt.Sprintf(", attrs=%q", p.attributes)
		}
		script += "\n"
		file := filepath.Join(t.TempDir(), "part")
		truncated(t, file, p.sectors*512)
		if p.fill != nil {
			p.fill(t, file)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c, err := sparse.NewFile(f)
		if err != nil {
			t.Fatal(err)
		}
		pieces = append(pieces, sparse.Piece{At: at * 512, Content: c})
		at += p.sectors
	}
	truncated(t, path, (at+2048)*512)
	cmd := exec.Command(testtool.Path(t, "sfdisk"), "-q", path)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s\n%s", err, out, script)
	}
	out, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for _, p := range pieces {
		err := sparse.Runs(p.Content, sparse.Block, func(at int64, data []byte) error {
			_, err := out.WriteAt(data, p.At+at)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// Boot code must survive, and it is not in any partition.
	if _, err := out.WriteAt([]byte("boot code"), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	return path
}

// noise fills the beginning of a partition with bytes that nothing compresses.
func noise(seed byte, size int) func(testing.TB, string) {
	return func(t testing.TB, path string) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		data := make([]byte, size)
		rand.NewChaCha8([32]byte{seed}).Read(data)
		if _, err := f.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func mkfs(program string, args ...string) func(testing.TB, string) {
	return func(t testing.TB, path string) { run(t, program, append(args, path)...) }
}

// folder makes files for a file system.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// esp is an EFI system partition; with Flatcar's file that says that no boot was yet.
func esp(label string, firstBoot bool) func(testing.TB, string) {
	return func(t testing.TB, path string) {
		run(t, "mkfs.vfat", "-F", "32", "-n", label, path)
		run(t, "mmd", "-i", path, "::/EFI", "::/EFI/boot", "::/flatcar", "::/flatcar/grub")
		if firstBoot {
			run(t, "mcopy", "-i", path, "/dev/null", "::/flatcar/first_boot")
		}
	}
}

// grubCfg is an OEM partition's, as Flatcar's build writes it for a platform.
const grubCfg = "# Flatcar GRUB settings\n\nset oem_id=\"scaleway\"\nset linux_console=\"console=ttyS0,115200n8 earlycon=ttyS0,115200\"\n"

// sizes are those of Flatcar's partitions, in sectors: efi, usr, oem, root.
type sizes [4]int64

// since4593 and before are those of disk_layout.json; small ones are quick to copy.
func since4593() sizes { return sizes{2097152, 4194304, 2097152, 3653632} }
func before() sizes    { return sizes{262144, 2097152, 262144, 4427776} }
func small() sizes     { return sizes{131072, 16384, 262144, 131072} }

// flatcar has the table of disk_layout.json. Nobody may change the file.
func flatcar(t testing.TB, s sizes) string {
	return once(t, fmt.Sprint("flatcar", s), func() string { return flatcarWith(t, s, true) })
}

func flatcarWith(t testing.TB, s sizes, firstBoot bool) string {
	t.Helper()
	efi, usr, oem, root := s[0], s[1], s[2], s[3]
	oemFiles := folder(t, map[string]string{"grub.cfg": grubCfg, "oem-release": "ID=scaleway\n", "sysext/oem-scaleway.raw": strings.Repeat("sysext ", 30000)})
	return assemble(t, "00000000-0000-0000-0000-000000000001", 4096, []fixture{
		{1, "EFI-SYSTEM", typeESP, "", efi, "", esp("EFI-SYSTEM", firstBoot)},
		{2, "BIOS-BOOT", "21686148-6449-6E6F-744E-656564454649", "", 4096, "", noise(2, 60000)},
		{3, "USR-A", typeFlatcar, "7130c94a-213a-4e5a-8e26-6cce9662f132", usr, "GUID:48,56", noise(3, 5<<20)},
		{4, "USR-B", typeFlatcar, "e03dd35c-7c2d-4a47-b3fe-27f15780a57c", usr, "", nil},
		{6, "OEM", typeLinux, "", oem, "", func(t testing.TB, path string) {
			run(t, "mkfs.btrfs", "-q", "--mixed", "-m", "single", "-d", "single", "--byte-count", fmt.Sprint(oem*512), "--label", "OEM", "--rootdir", oemFiles, path)
			truncated(t, path, oem*512)
		}},
		{7, "OEM-CONFIG", "c95dc21a-df0e-4340-8d7b-26cbfa9a03e0", "", 131072, "", nil},
		{9, "ROOT", typeFlatcarR, "", root, "", mkfs("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-L", "ROOT", "-E", "lazy_itable_init=1,lazy_journal_init=1")},
	})
}

// bls is a boot entry of Fedora CoreOS.
const bls = `title Fedora CoreOS 44.20260802.3.1 (ostree:0)
version 1
options mitigations=auto,nosmt ignition.platform.id=metal $ignition_firstboot ostree=/ostree/boot.1/fedora-coreos/abc/0 console=tty0 console=ttyS0,115200n8
linux /ostree/fedora-coreos-abc/vmlinuz
initrd /ostree/fedora-coreos-abc/initramfs.img
`

const grubConsole = "set a=b\n\n# CONSOLE-SETTINGS-START\nserial --speed=115200\n# CONSOLE-SETTINGS-END\nset c=d\n"

// coreos has the table of the metal image: 512-byte sectors. Its root has 512 MiB.
func coreos(t testing.TB, more map[string]string, less ...string) string {
	t.Helper()
	files := map[string]string{"ignition.firstboot": "", "loader": "-> loader.1", "loader.1/entries/ostree-1-fedora-coreos.conf": bls,
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
		{1, "BIOS-BOOT", "21686148-6449-6E6F-744E-656564454649", "", 2048, "LegacyBIOSBootable", noise(2, 60000)},
		{2, "EFI-SYSTEM", typeESP, "", 127 * 2048, "", esp("EFI-SYSTEM", false)},
		{3, "boot", typeBoot, "", 384 * 2048, "", mkfs("mke2fs", "-q", "-t", "ext4", "-O", "metadata_csum,metadata_csum_seed", "-L", "boot",
			"-U", "96d15588-3596-4b3c-adca-a2ff7279ea63", "-E", "root_owner=0:0", "-d", boot)},
		{4, "root", typeRootX86, "", 512 * 2048, "", func(t testing.TB, path string) {
			root := once(t, "xfs", func() string {
				run(t, "mkfs.xfs", "-q", "-L", "root", "-m", "uuid=910678ff-f77e-4a7d-8d53-86f2ac47a823", path)
				return path
			})
			run(t, "cp", "--sparse=always", root, path)
		}},
	})
}

// debian has the table of the generic cloud image: root has number 1 and lies last.
func debian(t testing.TB) string {
	t.Helper()
	return assemble(t, "5DC1A2F3-6E7E-4E41-8E60-A5E5F2B2B5A1", 2048, []fixture{
		{14, "", "21686148-6449-6E6F-744E-656564454649", "", 6144, "", noise(14, 60000)},
		{15, "", typeESP, "", 253952, "", mkfs("mkfs.vfat", "-n", "ESP")},
		{1, "", typeRootX86, "", 1024 * 2048, "", mkfs("mke2fs", "-q", "-t", "ext4", "-d", folder(t, map[string]string{"etc/debian_version": "13.1\n"}))},
	})
}
