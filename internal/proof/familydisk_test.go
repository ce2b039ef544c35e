//go:build lab

package proof

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool/basedisk"
)

// tableDisk is a disk and its partition table, as sfdisk reads it.
type tableDisk struct {
	path  string
	table struct {
		ID         string
		Partitions []tablePart
	}
}

// tablePart is one partition: where it lies in sectors of 512 bytes, and what sfdisk
// says of it.
type tablePart struct {
	Node                    string
	Start, Size             int64
	Type, UUID, Name, Attrs string
}

func readDisk(t *testing.T, path string) *tableDisk {
	t.Helper()
	d := &tableDisk{path: path}
	all := struct{ Partitiontable any }{&d.table}
	if err := json.Unmarshal([]byte(external(t, "sfdisk", "--json", path)), &all); err != nil {
		t.Fatal(err)
	}
	for i := range d.table.Partitions {
		d.table.Partitions[i].Node = strings.TrimPrefix(d.table.Partitions[i].Node, path)
	}
	return d
}

// part is a partition by its name, or its number.
func (d *tableDisk) part(t *testing.T, name string) tablePart {
	t.Helper()
	i := slices.IndexFunc(d.table.Partitions, func(p tablePart) bool { return p.Name == name || p.Node == name })
	if i < 0 {
		t.Fatalf("%s has no partition %s: %+v", d.path, name, d.table.Partitions)
	}
	return d.table.Partitions[i]
}

// extract is a file with a partition's contents.
func (d *tableDisk) extract(t *testing.T, name string) string {
	t.Helper()
	p, path := d.part(t, name), filepath.Join(t.TempDir(), "part")
	external(t, "dd", "if="+d.path, "of="+path, "bs=64K", "conv=sparse", "status=none", "iflag=skip_bytes,count_bytes", fmt.Sprint("skip=", p.Start*512), fmt.Sprint("count=", p.Size*512))
	if err := os.Truncate(path, p.Size*512); err != nil {
		t.Fatal(err)
	}
	return path
}

// judge lets programs say what they think of a disk that was baked from base.
func (d *tableDisk) judge(t *testing.T, base *tableDisk, family string) {
	t.Helper()
	if out := external(t, "sgdisk", "-v", d.path); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk: %s", out)
	}
	if d.table.ID != base.table.ID {
		t.Errorf("the disk's GUID is %s, was %s", d.table.ID, base.table.ID)
	}
	for _, was := range base.table.Partitions {
		is := d.part(t, was.Node)
		if is.Type != was.Type || is.UUID != was.UUID || is.Name != was.Name || is.Attrs != was.Attrs || is.Size < was.Size {
			t.Errorf("partition %s is %+v, was %+v", was.Node, is, was)
		}
	}
	stem := strings.TrimSuffix(d.path, ".raw")
	external(t, "qemu-img", "check", "-q", "-f", "qcow2", stem+".qcow2")
	external(t, "qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", d.path, stem+".qcow2")
	external(t, "sh", "-c", `zstd -q -d -c "$0" | cmp - "$1"`, stem+".raw.zst", d.path)
	var config []byte
	switch family {
	case "flatcar":
		external(t, "e2fsck", "-fn", d.extract(t, "ROOT"))
		external(t, "fsck.vfat", "-n", d.extract(t, "EFI-SYSTEM"))
		oem, dir := d.extract(t, "OEM"), t.TempDir()
		external(t, "btrfs", "check", "--check-data-csum", oem)
		external(t, "btrfs", "restore", oem, dir)
		config = mustReadFile(t, filepath.Join(dir, "config.ign"))
		if got := mustReadFile(t, filepath.Join(dir, "grub.cfg")); string(got) != basedisk.GrubCfg {
			t.Errorf("grub.cfg: %s", got)
		}
	case "fcos":
		external(t, "fsck.vfat", "-n", d.extract(t, "EFI-SYSTEM"))
		external(t, "xfs_repair", "-n", d.extract(t, "root"))
		boot, to := d.extract(t, "boot"), filepath.Join(t.TempDir(), "config.ign")
		external(t, "e2fsck", "-fn", boot)
		external(t, "debugfs", "-R", "dump /ignition/config.ign "+to, boot)
		config = mustReadFile(t, to)
	case "debian":
		external(t, "e2fsck", "-fn", d.extract(t, "1"))
		config = mustReadFile(t, filepath.Join(isoFiles(t, d.extract(t, "cidata")), "user-data"))
	}
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	if family == "debian" {
		external(t, "cloud-init", "schema", "--config-file", file)
	} else {
		external(t, "ignition-validate", file)
	}
	d.holdsPublic(t)
	if os.Geteuid() == 0 {
		d.mounts(t, map[string][]string{"flatcar": {"OEM", "ROOT", "EFI-SYSTEM", "imgforge"}, "fcos": {"boot", "root", "EFI-SYSTEM", "imgforge"}, "debian": {"1", "15", "cidata", "imgforge"}}[family])
	}
}

// holdsPublic compares extension and bundle on the disk with those beside it.
func (d *tableDisk) holdsPublic(t *testing.T) {
	t.Helper()
	dir, public := isoFiles(t, d.extract(t, "imgforge")), filepath.Dir(filepath.Dir(d.path))
	for pattern, inside := range map[string]string{"sysext/*.raw": "imgforge.raw", "bundles/*.tar": "images.tar"} {
		found, err := filepath.Glob(filepath.Join(public, pattern))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %q, %v", pattern, found, err)
		}
		external(t, "cmp", found[0], filepath.Join(dir, inside))
	}
}

// mounts lets the kernel mount partitions, where it knows their file system.
func (d *tableDisk) mounts(t *testing.T, names []string) {
	t.Helper()
	for _, name := range names {
		p, dir := d.part(t, name), t.TempDir()
		kind := strings.TrimSpace(external(t, "blkid", "-p", "-s", "TYPE", "-o", "value", "-O", fmt.Sprint(p.Start*512), "-S", fmt.Sprint(p.Size*512), d.path))
		if kernel := mustReadFile(t, "/proc/filesystems"); !bytes.Contains(kernel, []byte("\t"+kind+"\n")) {
			t.Logf("%s: this kernel has no %s", name, kind)
			continue
		}
		external(t, "mount", "-o", fmt.Sprintf("ro,loop,offset=%d,sizelimit=%d", p.Start*512, p.Size*512), d.path, dir)
		list, err := os.ReadDir(dir)
		external(t, "umount", dir)
		if err != nil {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}

// isoFiles is a folder with the files of an ISO 9660 file system.
func isoFiles(t *testing.T, path string) string {
	t.Helper()
	dir := t.TempDir()
	external(t, "xorriso", "-osirrox", "on", "-indev", path, "-extract", "/", dir)
	external(t, "chmod", "-R", "u+rwX", dir)
	return dir
}

func mustReadFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
