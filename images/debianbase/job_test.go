package debianbase

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/squashfs"
)

func TestSensible(t *testing.T) {
	good := Job{Platform: "qemu"}
	if made, err := good.Sensible(); err != nil || made.Size != Size || made.Format != "raw" {
		t.Errorf("%+v: %v", made, err)
	}
	for says, j := range map[string]Job{
		"finds no config":     {Platform: "hetzner"},
		"no image format":     {Platform: "qemu", Format: "vdi"},
		"not a multiple of":   {Platform: "qemu", Size: 4<<30 + 512},
		"below 1 GiB":         {Platform: "qemu", Size: 1 << 20},
		"the kernel argument": {Platform: "qemu", Arguments: []string{"quiet; halt"}},
	} {
		if _, err := j.Sensible(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

// A comment or a redirection would take what follows away, which is the first boot.
func TestArgumentsForTheBootLoader(t *testing.T) {
	for _, a := range []string{"#debug", "a>b", "a<b", "a;b", ""} {
		if _, err := (Job{Platform: "qemu", Arguments: []string{a}}).Sensible(); err == nil {
			t.Errorf("%q is taken", a)
		}
	}
}

// A base without a package that it is made for, or of a time that its file systems
// cannot hold, is refused before anything runs.
func TestBuildRefuses(t *testing.T) {
	out := filepath.Join(t.TempDir(), "base.img")
	for says, j := range map[string]Job{
		"it lacks the packages ca-certificates": {Platform: "qemu", Output: out, Time: 1763683200, Packages: []Package{{Name: "tinc"}}},
		"from 1980 to 2106":                     {Platform: "qemu", Output: out},
	} {
		if err := Build(t.Context(), j); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(out)); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestGrubConfig(t *testing.T) {
	got := grubConfig(Job{Platform: "qemu", Arguments: []string{"net.ifnames=0"}}, "84F27250-48DE-8099-8A69-C5D50F3ABC3C")
	for _, want := range []string{"root=LABEL=ROOT ", "mount.usr=PARTUUID=84f27250-48de-8099-8a69-c5d50f3abc3c ", "ignition.platform.id=qemu net.ifnames=0 $first\n",
		"if [ -e ($root)/imgforge/first ]"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

func TestBIOSCode(t *testing.T) {
	first, rest, err := biosCode(make([]byte, 512), make([]byte, 30001), 2048)
	if err != nil || len(first) != 440 || len(rest)%512 != 0 {
		t.Fatalf("%d and %d bytes: %v", len(first), len(rest), err)
	}
	le := binary.LittleEndian
	if at := le.Uint64(first[0x5c:]); at != 2048 {
		t.Errorf("the core is looked for at %d", at)
	}
	if at, n := le.Uint64(rest[0x1f4:]), le.Uint16(rest[0x1fc:]); at != 2049 || int(n) != len(rest)/512-1 {
		t.Errorf("the core goes on at %d with %d sectors", at, n)
	}
	if _, _, err := biosCode(make([]byte, 100), make([]byte, 30000), 2048); err == nil {
		t.Error("a boot sector of 100 bytes is taken")
	}
}

// system is a small installed system as mmdebstrap writes it.
func small(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "system.tar"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	w := tar.NewWriter(f)
	for _, h := range []tar.Header{
		{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./bin", Typeflag: tar.TypeSymlink, Linkname: "usr/bin"},
		{Name: "./boot/vmlinuz", Typeflag: tar.TypeReg, Mode: 0o644, Size: 6},
		{Name: "./dev/null", Typeflag: tar.TypeChar},
		{Name: "./etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644, Size: 6},
		{Name: "./etc/hostname", Typeflag: tar.TypeReg, Mode: 0o644, Size: 6},
		{Name: "./etc/machine-id", Typeflag: tar.TypeReg, Mode: 0o444, Size: 6},
		{Name: "./tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		{Name: "./usr/bin/ping", Typeflag: tar.TypeReg, Mode: 0o755, Size: 6, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "\x01\x02"}},
		{Name: "./usr/bin/ping4", Typeflag: tar.TypeLink, Linkname: "./usr/bin/ping"},
		{Name: "./var/cache/apt/pkgcache.bin", Typeflag: tar.TypeReg, Size: 6},
		{Name: "./var/lib/dpkg/status", Typeflag: tar.TypeReg, Mode: 0o644, Size: 6},
		{Name: "./var/lib/dpkg/lock", Typeflag: tar.TypeReg, Size: 6},
		{Name: "./var/mail/", Typeflag: tar.TypeDir, Mode: 0o2775, Gid: 8},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("abcdef")[:h.Size]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return f
}

// Everything finds its place: programs in /usr, the rest where the first boot copies
// it from, and nothing of one machine or of the package manager.
func TestSplit(t *testing.T) {
	p, err := split(small(t), 1763683200)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]squashfs.Entry{}
	for _, e := range p.usr {
		if _, twice := by[e.Path]; twice {
			t.Errorf("%s is there twice", e.Path)
		}
		if e.ModTime != 1763683200 {
			t.Errorf("%s has the time %d", e.Path, e.ModTime)
		}
		by[e.Path] = e
	}
	for _, name := range []string{"bin/ping", "bin/ping4", "lib/dpkg/status", FirstRoot + "/var/lib/dpkg", FirstRoot + "/etc/passwd", FirstRoot + "/bin", FirstRoot + "/etc/fstab"} {
		if _, ok := by[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	for name := range by {
		if slices.ContainsFunc([]string{"null", "pkgcache", "lock", "hostname", "vmlinuz"}, func(s string) bool { return strings.HasSuffix(name, "/"+s) }) {
			t.Errorf("%s is taken", name)
		}
	}
	if got := by["bin/ping4"].Xattrs["security.capability"]; got != "\x01\x02" {
		t.Errorf("ping's capability is %q", got)
	}
	if m := by[FirstRoot+"/tmp"].Mode; m != fs.ModeDir|fs.ModeSticky|0o777 {
		t.Errorf("/tmp has mode %v", m)
	}
	if e := by[FirstRoot+"/var/mail"]; e.GID != 8 || e.Mode&fs.ModeSetgid == 0 {
		t.Errorf("/var/mail is %+v", e)
	}
	r, err := by[FirstRoot+"/etc/machine-id"].Open()
	if err != nil {
		t.Fatal(err)
	}
	if id, err := io.ReadAll(r); err != nil || string(id) != "uninitialized\n" {
		t.Errorf("machine-id is %q, %v", id, err)
	}
	if kernel, err := p.all("vmlinuz"); err != nil || !bytes.Equal(kernel, []byte("abcdef")) {
		t.Errorf("the kernel is %q, %v", kernel, err)
	}
	if _, err := p.all("core.img"); err == nil || !strings.Contains(err.Error(), "has no /boot/core.img") {
		t.Errorf("%v", err)
	}
}
