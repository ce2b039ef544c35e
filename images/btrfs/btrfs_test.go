package btrfs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/internal/testtool"
)

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testtool.Path(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// folder is what an OEM partition holds, and what is hard to keep.
func folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	noise := make([]byte, 3<<20+17)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	for name, data := range map[string][]byte{
		"grub.cfg":                       []byte("set oem_id=\"scaleway\"\nset linux_console=\"console=ttyS0\"\n"),
		"oem-release":                    []byte("ID=scaleway\n"),
		"sysext/oem-scaleway-4593.2.raw": noise,
		"python/lib/text":                bytes.Repeat([]byte("compressible "), 90000),
		"empty":                          nil,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("oem-scaleway-4593.2.raw", filepath.Join(dir, "sysext/oem-scaleway.raw")); err != nil {
		t.Fatal(err)
	}
	for i := range 300 { // more than one node
		if err := os.WriteFile(filepath.Join(dir, "python", strings.Repeat("n", i%100)+string(rune('a'+i/100))), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// made is a file system as Flatcar's build makes it: mkfs.btrfs --mixed, single,
// label OEM, a little smaller than its partition.
func made(t testing.TB, from string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "oem")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 128<<20); err != nil {
		t.Fatal(err)
	}
	args := []string{"-q", "--mixed", "-m", "single", "-d", "single", "--byte-count", "127926272", "--label", "OEM"}
	if from != "" {
		args = append(args, "--rootdir", from)
	}
	run(t, "mkfs.btrfs", append(args, path)...)
	return path
}

func open(t testing.TB, path string) *FS {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	c, err := sparse.NewFile(f)
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := Label(c); !ok || text != "OEM" {
		t.Errorf("label %q, %v", text, ok)
	}
	b, err := Read(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, b *FS) string {
	t.Helper()
	c, err := b.Content()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "new")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := sparse.WriteRaw(f, c); err != nil {
		t.Fatal(err)
	}
	return path
}

// restored is what btrfs's own program reads out of an image.
func restored(t testing.TB, path string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	run(t, "btrfs", "restore", "-S", path, dir)
	return listed(t, dir)
}

func listed(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			files[rel] = "folder"
		case d.Type() == fs.ModeSymlink:
			files[rel], err = os.Readlink(path)
		default:
			var data []byte
			data, err = os.ReadFile(path)
			sum := sha256.Sum256(data)
			files[rel] = string(sum[:])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// config is too large for the tree, and not a whole number of sectors.
func config() []byte { return bytes.Repeat([]byte(`{"ignition":{"version":"3.4.0"}}`), 4000) }

func added(t testing.TB, path string) string {
	t.Helper()
	b := open(t, path)
	for _, file := range []File{
		{Name: "config.ign", Mode: 0o600, Time: 1700000000, Label: "system_u:object_r:usr_t:s0", Contents: config()},
		{Name: "small", Mode: 0o644, Time: 1700000000, Contents: []byte("hello\n")},
		{Name: "nothing", Mode: 0o644, Time: 1700000000},
	} {
		if err := b.Add(file); err != nil {
			t.Fatal(err)
		}
	}
	return write(t, b)
}

// What is added is there, all else is as it was, btrfs finds no fault in it, and
// the same input gives the same bytes.
func TestAdd(t *testing.T) {
	from := made(t, folder(t))
	before, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	path := added(t, from)
	out := run(t, "btrfs", "check", "--check-data-csum", path)
	if !strings.Contains(out, "no error found") {
		t.Errorf("btrfs check: %s", out)
	}
	want := restored(t, from)
	sum := sha256.Sum256(config())
	want["config.ign"] = string(sum[:])
	sum = sha256.Sum256([]byte("hello\n"))
	want["small"] = string(sum[:])
	sum = sha256.Sum256(nil)
	want["nothing"] = string(sum[:])
	got := restored(t, path)
	if len(got) != len(want) {
		t.Errorf("%d names, not %d", len(got), len(want))
	}
	for name, is := range want {
		if got[name] != is {
			t.Errorf("%s differs", name)
		}
	}
	for _, args := range [][]string{{"-s", "UUID"}, {"-s", "LABEL"}, {"-s", "TYPE"}} {
		probe := append(args, "-o", "value", "-p")
		if a, b := run(t, "blkid", append(probe, from)...), run(t, "blkid", append(probe, path)...); a != b {
			t.Errorf("%q: %q, was %q", args, b, a)
		}
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(added(t, from))
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the second time it differs (%v)", err)
	}
	if after, err := os.ReadFile(from); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the original changed (%v)", err)
	}
	again := open(t, path)
	if err := again.Add(File{Name: "config.ign"}); !errors.Is(err, ErrExists) {
		t.Errorf("added twice: %v", err)
	}
	if err := again.Add(File{Name: "a/b"}); err == nil {
		t.Error("a path is accepted")
	}
	if err := again.Add(File{Name: "third", Mode: 0o644, Contents: config()}); err != nil {
		t.Fatal(err)
	}
	run(t, "btrfs", "check", "--check-data-csum", write(t, again))
}

// Around the copy of the superblock, and until nothing is left.
func TestFull(t *testing.T) {
	b := open(t, made(t, ""))
	big := make([]byte, 20<<20)
	rand.NewChaCha8([32]byte{2}).Read(big)
	for i := range 5 {
		if err := b.Add(File{Name: string(rune('a' + i)), Mode: 0o644, Contents: big}); err != nil {
			t.Fatal(err)
		}
	}
	path := write(t, b)
	run(t, "btrfs", "check", "--check-data-csum", path)
	sum := sha256.Sum256(big)
	for name, got := range restored(t, path) {
		if len(name) == 1 && name != "." && got != string(sum[:]) {
			t.Errorf("%s differs", name)
		}
	}
	if err := b.Add(File{Name: "f", Contents: big}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Content(); err == nil || !strings.Contains(err.Error(), "it has no room") {
		t.Errorf("full: %v", err)
	}
}

// The kernel mounts it, with what it compressed itself and what it then writes.
func TestKernel(t *testing.T) {
	testtool.Root(t)
	from, dir := made(t, ""), t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop", from, dir).CombinedOutput(); err != nil {
		testtool.Skip(t, "a kernel with btrfs and loop devices is needed: %v %s", err, out)
	}
	mounted := true
	defer func() {
		if mounted {
			run(t, "umount", dir)
		}
	}()
	run(t, "btrfs", "property", "set", dir, "compression", "zlib")
	run(t, "cp", "-a", folder(t)+"/.", dir)
	run(t, "ln", filepath.Join(dir, "oem-release"), filepath.Join(dir, "second-name"))
	want := listed(t, dir)
	run(t, "umount", dir)
	mounted = false
	path := added(t, from)
	run(t, "btrfs", "check", "--check-data-csum", path)
	run(t, "mount", "-o", "loop", path, dir)
	mounted = true
	got := listed(t, dir)
	for name, is := range want {
		if got[name] != is {
			t.Errorf("%s differs", name)
		}
	}
	out := run(t, "stat", "-c", "%a %u %g %Y %h", filepath.Join(dir, "config.ign"), filepath.Join(dir, "second-name"))
	if !strings.HasPrefix(out, "600 0 0 1700000000 1\n") || !strings.HasSuffix(out, " 2\n") {
		t.Errorf("stat: %s", out)
	}
	run(t, "cp", "-a", folder(t), filepath.Join(dir, "more"))
	run(t, "umount", dir)
	mounted = false
	run(t, "btrfs", "check", "--check-data-csum", path)
}
