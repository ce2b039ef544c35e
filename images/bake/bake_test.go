package bake

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images"
	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/basedisk"
)

// config is as long as a master's.
func config() []byte {
	return []byte(`{"ignition":{"version":"3.4.0"},"x":"` + strings.Repeat("payload ", 5000) + `"}`)
}

func payload() []images.Source {
	return []images.Source{
		images.Bytes(artifact.File{Path: "extensions/kubernetes-v1.36.3.raw", Contents: bytes.Repeat([]byte("sysext "), 400000)}),
		images.Bytes(artifact.File{Path: "images/bundle.tar", Contents: bytes.Repeat([]byte("bundle "), 100000)}),
	}
}

// job bakes a base into every format in a new folder.
func job(t testing.TB, kind Kind, base string) Job {
	t.Helper()
	dir := t.TempDir()
	j := Job{Base: base, Kind: kind, Config: config(), Instance: "6f1d7c0a-6f0f-8b5e-9c1e-3a1c1d0c9b7e", Files: payload(), Time: 1700000000}
	for _, format := range disk.Formats() {
		j.Outputs = append(j.Outputs, Output{filepath.Join(dir, "disk."+format), format, 0o600})
	}
	return j
}

func bake(t testing.TB, j Job) (string, Report) {
	t.Helper()
	r, err := Bake(context.Background(), j)
	if err != nil {
		t.Fatal(err)
	}
	return j.Outputs[0].Path, r
}

// Flatcar: the config is on OEM, where ignition-setup takes it from, beside all
// that was there.
func TestFlatcar(t *testing.T) {
	for name, s := range map[string]basedisk.Sizes{"since 4593": basedisk.Since4593(), "before": basedisk.Before()} {
		t.Run(name, func(t *testing.T) {
			base := flatcar(t, s)
			path, r := bake(t, job(t, Flatcar, base))
			o := whole(t, base, path, "OEM", PayloadLabel)
			hasPayload(t, o)
			if r.RootAfter <= r.RootBefore || r.Size <= r.RootAfter {
				t.Errorf("%+v", r)
			}
			oem := o.extract(t, "OEM")
			run(t, "btrfs", "check", "--check-data-csum", oem)
			run(t, "e2fsck", "-fn", o.extract(t, "ROOT"))
			run(t, "fsck.vfat", "-n", o.extract(t, "EFI-SYSTEM"))
			if got := strings.TrimSpace(run(t, "btrfs", "filesystem", "label", oem)); got != "OEM" {
				t.Errorf("label %q", got)
			}
			dir := t.TempDir()
			run(t, "btrfs", "restore", oem, dir)
			for file, want := range map[string]string{"config.ign": string(config()), "grub.cfg": basedisk.GrubCfg, "oem-release": "ID=scaleway\n",
				"sysext/oem-scaleway.raw": strings.Repeat("sysext ", 30000)} {
				if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
					t.Errorf("%s: %d bytes, %v", file, len(got), err)
				}
			}
			if _, err := Bake(context.Background(), job(t, Flatcar, path)); err == nil || !strings.Contains(err.Error(), `it has a partition 10 "imgforge" already`) {
				t.Errorf("baked again: %v", err)
			}
		})
	}
}

// The same job gives the same bytes, whatever the form of the base; a different
// payload moves root, and nothing else.
func TestSameBytes(t *testing.T) {
	base := flatcar(t, basedisk.Small())
	first, _ := bake(t, job(t, Flatcar, base))
	qcow2, packed := filepath.Join(t.TempDir(), "base.qcow2"), filepath.Join(t.TempDir(), "base.img.zst")
	run(t, "qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", base, qcow2)
	run(t, "zstd", "-q", "-1", base, "-o", packed)
	for _, b := range []string{base, qcow2, packed} {
		again, r := bake(t, job(t, Flatcar, b))
		run(t, "cmp", first, again)
		run(t, "cmp", first+".zst", again+".zst")
		run(t, "cmp", strings.TrimSuffix(first, "raw")+"qcow2", strings.TrimSuffix(again, "raw")+"qcow2")
		if b == packed && r.Packed != "zstd" {
			t.Errorf("packed: %+v", r)
		}
	}
}

// Fedora CoreOS: the config where coreos-ignition-setup-user copies it from, with
// the modes that coreos-installer gives; the platform and its consoles.
func TestCoreOS(t *testing.T) {
	base := basedisk.CoreOS(t, nil)
	j := job(t, FCOS, base)
	j.Platform = "scaleway"
	path, _ := bake(t, j)
	o := whole(t, base, path, "boot", PayloadLabel)
	hasPayload(t, o)
	boot := o.extract(t, "boot")
	run(t, "e2fsck", "-fn", boot)
	run(t, "fsck.vfat", "-n", o.extract(t, "EFI-SYSTEM"))
	cat := func(p string) string { return run(t, "debugfs", "-R", "cat "+p, boot) }
	if got := cat("/ignition/config.ign"); !strings.HasSuffix(got, string(config())) {
		t.Errorf("the config has %d bytes", len(got))
	}
	for p, want := range map[string]string{"/ignition": "Mode:  0700", "/ignition/config.ign": "Mode:  0600", "/ignition.firstboot": "Size: 0"} {
		if got := run(t, "debugfs", "-R", "stat "+p, boot); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", p, got, want)
		}
	}
	if got := cat("/loader.1/entries/ostree-1-fedora-coreos.conf"); !strings.Contains(got,
		"\noptions mitigations=auto,nosmt ignition.platform.id=scaleway $ignition_firstboot ostree=/ostree/boot.1/fedora-coreos/abc/0 console=ttyS0\nlinux ") {
		t.Errorf("boot entry: %s", got)
	}
	if got := cat("/grub2/console.cfg"); !strings.HasSuffix(got, "set a=b\n\n# CONSOLE-SETTINGS-START\nserial com0\nterminal_input serial\n# CONSOLE-SETTINGS-END\nset c=d\n") {
		t.Errorf("console: %s", got)
	}
	again := j
	again.Outputs = []Output{{filepath.Join(t.TempDir(), "again"), disk.Raw, 0o600}}
	second, _ := bake(t, again)
	run(t, "cmp", path, second)
}

// Debian and our own base: the config has a partition of its own.
func TestOwnPartition(t *testing.T) {
	base := debian(t)
	j := job(t, Debian, base)
	j.Config, j.Size = []byte("#cloud-config\n"), 4<<30
	path, r := bake(t, j)
	o := whole(t, base, path, "", "cidata", PayloadLabel)
	hasPayload(t, o)
	if r.Size != 4<<30 || o.Size() != 4<<30 {
		t.Errorf("%+v", r)
	}
	iso := o.extract(t, "cidata")
	if out := run(t, "blkid", "-p", "-o", "export", iso); !strings.Contains(out, "LABEL=cidata\n") {
		t.Errorf("blkid: %s", out)
	}
	for file, want := range map[string]string{"user-data": "#cloud-config\n", "meta-data": "{\n  \"instance-id\": \"6f1d7c0a-6f0f-8b5e-9c1e-3a1c1d0c9b7e\"\n}\n", "network-config": images.DefaultNetwork} {
		if got := run(t, "isoinfo", "-R", "-x", "/"+file, "-i", iso); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	root := open(t, base).Entries()[0]
	root.Label = "ROOT"
	base = changed(t, base, root)
	j = job(t, Imgforge, base)
	if _, err := Bake(context.Background(), j); err == nil || !strings.Contains(err.Error(), `partition 1 "ROOT": its ext4 has the label "", not "ROOT"`) {
		t.Errorf("%v", err)
	}
}

// The kernel mounts what was made, all of it at once.
func TestMounted(t *testing.T) {
	testtool.Root(t)
	path, _ := bake(t, job(t, Flatcar, flatcar(t, basedisk.Small())))
	o := open(t, path)
	kernel, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ label, fs, file string }{{"OEM", "btrfs", "config.ign"}, {"ROOT", "ext4", "lost+found"},
		{PayloadLabel, "iso9660", "extensions/kubernetes-v1.36.3.raw"}, {"EFI-SYSTEM", "vfat", "flatcar/first_boot"}} {
		if !strings.Contains(string(kernel), "\t"+tc.fs+"\n") {
			continue // small kernels lack some, and what is read elsewhere is not mounted in vain
		}
		e, err := o.Labelled(tc.label)
		if err != nil {
			t.Fatal(err)
		}
		at, size := o.ByteRange(e)
		dir := t.TempDir()
		run(t, "mount", "-o", fmt.Sprintf("ro,loop,offset=%d,sizelimit=%d", at, size), path, dir)
		_, err = os.Stat(filepath.Join(dir, tc.file))
		run(t, "umount", dir)
		if err != nil {
			t.Errorf("%s: %v", tc.label, err)
		}
	}
}
