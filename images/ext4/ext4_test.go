package ext4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// made is a boot file system as Fedora CoreOS has it: the features that change how
// inodes are checked, a link on the way to the boot entries.
func made(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"loader.1/entries/ostree-1.conf": "options a b\n", "ignition.firstboot": "", "two words": "x"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("loader.1", filepath.Join(dir, "loader")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "boot")
	run(t, "mke2fs", "-q", "-t", "ext4", "-L", "boot", "-O", "metadata_csum,metadata_csum_seed,64bit", "-U", "96d15588-3596-4b3c-adca-a2ff7279ea63",
		"-E", "root_owner=0:0", "-d", dir, path, "24M")
	return path
}

func edit(t testing.TB, path string) *Editor {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if text, ok := Label(f); !ok || text != "boot" {
		t.Errorf("label %q, %v", text, ok)
	}
	e, err := Edit(context.Background(), f, 1700000000)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const selinux = "system_u:object_r:boot_t:s0"

func change(t testing.TB, path string) *Editor {
	t.Helper()
	ctx := context.Background()
	e := edit(t, path)
	big := bytes.Repeat([]byte("config "), 30000)
	if err := e.Write(ctx, File{Path: "/ignition/config.ign", Mode: 0o600, FolderMode: 0o700, Label: selinux, Contents: big},
		File{Path: "/a/b/empty", Mode: 0o644, FolderMode: 0o755}); err != nil {
		t.Fatal(err)
	}
	if err := e.Replace(ctx, "/loader/entries/ostree-1.conf", []byte("options a b c\n")); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEdit(t *testing.T) {
	ctx := context.Background()
	path := made(t)
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e := change(t, path)
	run(t, "e2fsck", "-fn", path)
	stat := run(t, "debugfs", "-R", "stat /ignition/config.ign", path)
	for _, want := range []string{"Mode:  0600", "User:     0   Group:     0", "Size: 210000", "mtime: 0x6553f100", "crtime: 0x6553f100", selinux} {
		if !strings.Contains(stat, want) {
			t.Errorf("%s\nwant %q in it", stat, want)
		}
	}
	if stat := run(t, "debugfs", "-R", "stat /ignition", path); !strings.Contains(stat, "Mode:  0700") || !strings.Contains(stat, selinux) {
		t.Errorf("the folder: %s", stat)
	}
	if stat := run(t, "debugfs", "-R", "stat /loader.1/entries/ostree-1.conf", path); !strings.Contains(stat, "Mode:  0640") {
		t.Errorf("what was replaced: %s", stat)
	}
	if data, err := e.ReadFile(ctx, "/loader.1/entries/ostree-1.conf"); err != nil || string(data) != "options a b c\n" {
		t.Errorf("%q, %v", data, err)
	}
	names, err := e.List(ctx, "/loader/entries")
	if err != nil || !slices.Equal(names, []string{"ostree-1.conf"}) {
		t.Errorf("%q, %v", names, err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // its clock counts seconds
	if err := os.WriteFile(path, original, 0o600); err != nil {
		t.Fatal(err)
	}
	change(t, path)
	if second, err := os.ReadFile(path); err != nil || sha256.Sum256(first) != sha256.Sum256(second) {
		t.Errorf("a second later it differs (%v)", err)
	}
}

func TestMissingAndThere(t *testing.T) {
	ctx := context.Background()
	e := edit(t, made(t))
	if _, err := e.ReadFile(ctx, "/nothing"); !errors.Is(err, ErrNoFile) {
		t.Errorf("missing: %v", err)
	}
	if there, err := e.Exists(ctx, "/two words"); err != nil || !there {
		t.Errorf("with a blank: %v, %v", there, err)
	}
	if err := e.Write(ctx, File{Path: "/ignition.firstboot"}); err == nil || !strings.Contains(err.Error(), "/ignition.firstboot is there already") {
		t.Errorf("there: %v", err)
	}
	for _, path := range []string{"relative", "/../up", "/new\nline", "/quo\"te"} {
		if err := e.Write(ctx, File{Path: path}); err == nil || !strings.Contains(err.Error(), "cannot be used") {
			t.Errorf("%q: %v", path, err)
		}
	}
	if err := e.Write(ctx, File{Path: "/huge", Contents: bytes.Repeat([]byte("x"), 40<<20)}); err == nil {
		t.Error("more than fits is accepted")
	}
}

func TestRefused(t *testing.T) {
	path := made(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func([]byte)
		want   string
	}{
		"none":    {func(b []byte) { clear(b[1024:2048]) }, "there is no ext4"},
		"booted":  {func(b []byte) { b[1024+superIncompat] |= needsRecovery }, "it was not unmounted cleanly"},
		"damaged": {func(b []byte) { clear(b[2048:9000]) }, "e2fsck: exit status"},
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(whole)
			tc.change(b)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := Edit(context.Background(), f, 0); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}
