package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

// What mke2fs put into a file system is read as it was: folders of many blocks, deep
// trees of extents, holes, small and large blocks.
func TestReader(t *testing.T) {
	dir := t.TempDir()
	want := map[string][]byte{"etc/shadow": []byte("root:*::\n"), "empty": nil, "large": bytes.Repeat([]byte("0123456789abcdef"), 200000)}
	for i := range 900 {
		want[fmt.Sprintf("many/a file with quite a long name %04d", i)] = fmt.Appendf(nil, "%d", i)
	}
	for name, data := range want {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, data, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	holes, err := os.Create(filepath.Join(dir, "holes"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(400) { // an extent each
		if _, err := holes.WriteAt([]byte("data"), i*16384); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(holes.Close(), os.Symlink("etc", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	if want["holes"], err = os.ReadFile(holes.Name()); err != nil {
		t.Fatal(err)
	}
	for _, options := range [][]string{{"-b", "1024"}, {"-b", "4096", "-O", "^64bit"}, {"-b", "4096", "-O", "metadata_csum,metadata_csum_seed"}} {
		image := filepath.Join(t.TempDir(), "image")
		args := append([]string{"-q", "-t", "ext4", "-d", dir}, options...)
		if out, err := exec.Command(testtool.Path(t, "mke2fs"), append(args, image, "64m")...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		f, err := os.Open(image)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := OpenReader(f)
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range want {
			n, err := r.Lookup(name)
			if err != nil || n.Mode != 0o640 && name != "holes" {
				t.Fatalf("%q %s: %v %v", options, name, n.Mode, err)
			}
			if got, err := r.Read(n, 1<<30); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%q %s: %d bytes, not %d: %v", options, name, len(got), len(data), err)
			}
		}
		if n, err := r.Lookup("/link"); err != nil || n.Mode.Type() != fs.ModeSymlink {
			t.Errorf("link: %v %v", n.Mode, err)
		}
		many, err := r.Lookup("many")
		if err != nil {
			t.Fatal(err)
		}
		if list, err := r.List(many); err != nil || len(list) != 900 {
			t.Errorf("%q: %d entries, %v", options, len(list), err)
		}
		for _, absent := range []string{"absent", "etc/shadow/x", "link/shadow"} {
			if _, err := r.Lookup(absent); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", absent, err)
			}
		}
	}
	if _, err := OpenReader(bytes.NewReader(make([]byte, 4096))); err == nil {
		t.Error("zeros are a file system")
	}
}
