//go:build lab

package debianbase

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/imgforge/imgforge/images/gpt"
	"github.com/imgforge/imgforge/internal/testtool"
)

// made is a base that all tests of this run share.
var made struct {
	sync.Once
	path string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if made.path != "" {
		os.RemoveAll(filepath.Dir(made.path))
	}
	os.Exit(code)
}

func job(t *testing.T, out string) Job {
	return Job{Packages: archived(t), Time: 1763683200, Platform: "qemu", Output: out, Logf: t.Logf}
}

// base is the path of one that was made once, which nobody changes.
func base(t *testing.T) string {
	t.Helper()
	made.Do(func() {
		dir, err := os.MkdirTemp("/var/tmp", "imgforge-base-")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "base.img")
		if err := Build(t.Context(), job(t, path)); err != nil {
			os.RemoveAll(dir)
			t.Fatal(err)
		}
		made.path = path
	})
	if made.path == "" {
		t.Fatal("there is no base: see why the first test that wanted one could not make it, and run them together")
	}
	return made.path
}

func sumOf(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// partition is where the one with a label lies in a base.
func partition(t *testing.T, path, label string) (at, size int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := gpt.Read(f, Size)
	if err != nil {
		t.Fatal(err)
	}
	e, err := table.Labelled(label)
	if err != nil {
		t.Fatal(err)
	}
	return table.ByteRange(e)
}

// The same packages give the same bytes, wherever, whenever and in which order: in
// another folder, with another umask and time zone.
func TestSamePackagesSameBytes(t *testing.T) {
	one := base(t)
	dir := filepath.Join(t.TempDir(), "a folder's name")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", "/var/tmp") // a path with a blank is none for apt
	t.Setenv("TZ", "Pacific/Kiritimati")
	t.Setenv("LC_ALL", "C")
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	j := job(t, filepath.Join(dir, "again.img"))
	slices.Reverse(j.Packages)
	if err := Build(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	a, b := sumOf(t, one), sumOf(t, j.Output)
	t.Logf("user %d: sha256 %s", os.Geteuid(), a)
	if a != b {
		if keep := os.Getenv("KEEP_DIFFERENT"); keep != "" {
			if err := os.Rename(j.Output, keep); err != nil {
				t.Log(err)
			}
		}
		t.Errorf("two bases of the same packages differ: %s and %s", a, b)
	}
}

// The real checkers find nothing to complain about in any part.
func TestPartsAreClean(t *testing.T) {
	path := base(t)
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(testtool.Path(t, name), args...).CombinedOutput(); err != nil {
			t.Errorf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	run("sgdisk", "-v", path)
	for label, check := range map[string][]string{"EFI-SYSTEM": {"fsck.fat", "-n"}, "USR": {"unsquashfs", "-s"}, "ROOT": {"e2fsck", "-fn"}} {
		at, size := partition(t, path, label)
		part := filepath.Join(t.TempDir(), label)
		run("dd", "if="+path, "of="+part, "bs=1M", "conv=sparse", "status=none", "iflag=skip_bytes,count_bytes", "skip="+itoa(at), "count="+itoa(size))
		run(check[0], check[1], part)
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
