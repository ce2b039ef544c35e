package ext4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// reads counts them, and ends what would never end.
type reads struct {
	*bytes.Reader
	count int
}

func (r *reads) ReadAt(p []byte, at int64) (int, error) {
	if r.count++; r.count > 10000 {
		return 0, errors.New("it is read for ever")
	}
	return r.Reader.ReadAt(p, at)
}

// treeNode is one of a tree of extents all of whose entries refer to one block.
func treeNode(into []byte, depth uint16, block uint64) []byte {
	le := binary.LittleEndian
	count := (len(into) - 12) / 12
	le.PutUint16(into, 0xf30a)
	le.PutUint16(into[2:], uint16(count))
	le.PutUint16(into[6:], depth)
	for e := range count {
		entry := into[12+12*e:]
		if depth > 0 {
			le.PutUint32(entry[4:], uint32(block))
			le.PutUint16(entry[8:], uint16(block>>32))
			continue
		}
		le.PutUint16(entry[4:], 1)
		le.PutUint16(entry[6:], uint16(block>>32))
		le.PutUint32(entry[8:], uint32(block))
	}
	return into
}

// A damaged tree of extents ends: one whose entries refer to one block again and again,
// and one whose blocks lie beyond what can be counted.
func TestDamagedExtents(t *testing.T) {
	const block = 4096
	disk := make([]byte, 6*block)
	for level := range uint64(5) {
		treeNode(disk[level*block:(level+1)*block], uint16(4-level), level+1)
	}
	for name, tc := range map[string]struct {
		depth uint16
		to    uint64
		want  string
	}{
		"again":  {5, 0, "again and again"},
		"beyond": {5, 1<<48 - 1, "no block"},
		"far":    {0, 1<<48 - 1, "no block"},
	} {
		r := &reads{Reader: bytes.NewReader(disk)}
		f := &Reader{r: r, block: block}
		if tc.want == "no block" {
			f.block = 64 << 10 // the largest there is
		}
		raw := make([]byte, 128)
		binary.LittleEndian.PutUint32(raw[0x20:], flagExtents)
		treeNode(raw[0x28:0x28+60], tc.depth, tc.to)
		if _, err := f.Read(Node{Name: name, Size: 1 << 20, raw: raw}, 1<<20); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v after %d reads", name, err, r.count)
		}
	}
}

// The table of inodes of a damaged group is nowhere, and no file has a size below zero.
func TestDamagedInodes(t *testing.T) {
	disk := make([]byte, 3*4096)
	le := binary.LittleEndian
	le.PutUint32(disk[8:], 1)
	f := &Reader{r: bytes.NewReader(disk), block: 4096, perGroup: 16, inode: 128, groupSize: 64, wide: true, inodes: 16}
	if n, err := f.node(2, "x"); err != nil || n.Inode != 2 {
		t.Fatal(err)
	}
	le.PutUint32(disk[4096+128+0x6c:], 1<<31)
	if _, err := f.node(2, "x"); err == nil || !strings.Contains(err.Error(), "size") {
		t.Error(err)
	}
	le.PutUint32(disk[0x28:], 1<<31)
	if _, err := f.node(2, "x"); err == nil || !strings.Contains(err.Error(), "no block") {
		t.Error(err)
	}
}
