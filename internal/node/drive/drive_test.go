package drive

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

const line = "imgforge-claim-v1.worker-1.not-a-real-one\n"

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(testtool.Path(t, name), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// content is the folder that each program packs.
func content(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range map[string]string{"user-data": line, "meta-data": "instance-id: i-1\n", "openstack/latest/user_data": line,
		"empty": "", "openstack/latest/" + strings.Repeat("long", 20): "x", "big": strings.Repeat("0123456789abcdef", 4096)} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// made are drives as people make them, by what makes them.
func made(t *testing.T) map[string]string {
	src, out := content(t), t.TempDir()
	images := map[string]string{}
	iso := func(name, program string, args ...string) {
		images[name] = filepath.Join(out, name)
		run(t, program, append(append([]string{}, args...), "-quiet", "-V", "cidata", "-o", images[name], src)...)
	}
	iso("cloud-localds", "genisoimage", "-J", "-r")
	iso("Rock Ridge", "genisoimage", "-r")
	iso("Joliet", "genisoimage", "-J", "-joliet-long")
	iso("xorriso", "xorriso", "-as", "mkisofs", "-r")
	for name, bits := range map[string][2]string{"FAT12": {"12", "1440"}, "FAT16": {"16", "16384"}, "FAT32": {"32", "70000"}} {
		images[name] = filepath.Join(out, name)
		run(t, "mkfs.vfat", "-C", "-F", bits[0], "-n", "CIDATA", images[name], bits[1])
		for _, f := range []string{"user-data", "meta-data", "openstack", "big", "empty"} {
			run(t, "mcopy", "-s", "-i", images[name], filepath.Join(src, f), "::"+f)
		}
	}
	return images
}

// What every program that people make such drives with has written is read back.
func TestDrivesOfEveryMaker(t *testing.T) {
	for name, path := range made(t) {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			v, err := volumeOf(f)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.EqualFold(v.label(), "cidata") {
				t.Errorf("label %q", v.label())
			}
			for _, path := range []string{"/user-data", "openstack/latest/user_data"} {
				if got, err := v.read(path, 1<<16); err != nil || string(got) != line {
					t.Errorf("%s: %q, %v", path, got, err)
				}
			}
			if got, err := v.read("big", 40000); err != nil || !bytes.Equal(got, bytes.Repeat([]byte("0123456789abcdef"), 2500)) {
				t.Errorf("a file over several clusters: %d bytes, %v", len(got), err)
			}
			if got, err := v.read("empty", 100); err != nil || len(got) > 0 {
				t.Errorf("an empty file: %q, %v", got, err)
			}
			for _, path := range []string{"claim", "openstack", "user-data/x", "openstack/user_data"} {
				if got, err := v.read(path, 100); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %q, %v", path, got, err)
				}
			}
		})
	}
}

// Drives are found by label among devices that hold something else or nothing.
func TestLabelled(t *testing.T) {
	root := t.TempDir()
	images := made(t)
	put := func(device string, data []byte) {
		dev := filepath.Join(root, "dev", device)
		if err := errors.Join(os.MkdirAll(filepath.Join(root, "sys/class/block", device), 0o755), os.MkdirAll(filepath.Dir(dev), 0o755), os.WriteFile(dev, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(images[name])
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	put("vda", make([]byte, 1<<16))
	put("vdb", read("FAT16"))
	put("sr0", read("Rock Ridge"))
	put("loop0", read("Joliet"))
	put("vdc", nil)
	if err := os.Mkdir(filepath.Join(root, "sys/class/block/gone"), 0o755); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, d := range Labelled(root, "cidata", "config-2") {
		data, err := d.Read("user-data", 100)
		if err != nil || string(data) != line {
			t.Errorf("%s: %q, %v", d.Device, data, err)
		}
		found = append(found, d.Device+" "+d.Label)
		d.Close()
	}
	if got := strings.Join(found, ", "); got != "/dev/sr0 cidata, /dev/vdb CIDATA" {
		t.Errorf("found %s", got)
	}
	if left := Labelled(root, "config-2"); len(left) > 0 {
		t.Errorf("another label: %v", left)
	}
}

// Whatever is on a device, reading it ends, and ends without a panic.
func FuzzVolume(f *testing.F) {
	f.Add([]byte("CD001"), 32769)
	f.Add([]byte{0xff, 0xff}, 11)
	f.Fuzz(func(t *testing.T, patch []byte, at int) {
		image := make([]byte, 20*isoSector)
		copy(image[510:], "\x55\xaa")
		copy(image[11:], "\x00\x02\x01\x01\x00\x01\x10\x00\x40\x00\xf8\x01\x00")
		copy(image[16*isoSector:], "\x01CD001")
		if at >= 0 && at < len(image) {
			copy(image[at:], patch)
		}
		for _, open := range []func() (volume, error){func() (volume, error) { return openISO(bytes.NewReader(image)) }, func() (volume, error) { return openFAT(bytes.NewReader(image)) }} {
			if v, err := open(); err == nil {
				v.read("a/b", 1<<16)
			}
		}
	})
}
