package bake

import (
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/images/gpt"
	"github.com/imgforge/imgforge/images/sparse"
)

// opened is a disk and its table, as this project reads them.
type opened struct {
	*disk.Image
	*gpt.Table
}

func open(t testing.TB, path string) opened {
	t.Helper()
	m, err := disk.Open(path, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	table, err := gpt.Read(m, m.Size())
	if err != nil {
		t.Fatal(err)
	}
	return opened{m, table}
}

// hash is that of a partition's bytes; holes are zeros.
func (o opened) hash(t testing.TB, e gpt.Entry) string {
	t.Helper()
	at, size := o.ByteRange(e)
	c, err := sparse.Section(o.Image, at, size)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	fmt.Fprintln(h, size)
	err = sparse.Runs(c, sparse.Block, func(at int64, data []byte) error { fmt.Fprintln(h, at); h.Write(data); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// extract writes a partition into a file.
func (o opened) extract(t testing.TB, label string) string {
	t.Helper()
	e, err := o.Labelled(label)
	if err != nil {
		t.Fatal(err)
	}
	at, size := o.ByteRange(e)
	c, err := sparse.Section(o.Image, at, size)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), label)
	if err := disk.Write(path, 0o600, disk.Raw, c); err != nil {
		t.Fatal(err)
	}
	return path
}

// whole judges what holds for every kind: a sound table, every partition but the
// changed one as it was in all its bytes, names and attributes, root still the
// last, all formats the same disk.
func whole(t testing.TB, base, path, changed string, added ...string) opened {
	t.Helper()
	if out := run(t, "sgdisk", "-v", path); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk -v: %s", out)
	}
	if out := run(t, "sfdisk", "--verify", path); !strings.Contains(out, "No errors detected") {
		t.Errorf("sfdisk --verify: %s", out)
	}
	before, after := open(t, base), open(t, path)
	if before.Disk() != after.Disk() {
		t.Errorf("the disk's GUID is %s, was %s", after.Disk(), before.Disk())
	}
	var names []string
	last := gpt.Entry{}
	for _, e := range after.Entries() {
		i := slices.IndexFunc(before.Entries(), func(o gpt.Entry) bool { return o.Number == e.Number })
		if e.First > last.First {
			last = e
		}
		if i < 0 {
			names = append(names, e.Label)
			continue
		}
		o := before.Entries()[i]
		if o.GUID != e.GUID || o.Type != e.Type || o.Attributes != e.Attributes || o.Label != e.Label {
			t.Errorf("partition %d is %+v, was %+v", e.Number, e, o)
		}
		if e.Label != changed && before.hash(t, o) != after.hash(t, e) {
			t.Errorf("partition %d %q has other bytes", e.Number, e.Label)
		}
	}
	if !slices.Equal(names, added) || len(before.Entries())+len(added) != len(after.Entries()) {
		t.Errorf("new partitions %q, want %q", names, added)
	}
	if was := before.Entries(); !slices.ContainsFunc(was, func(o gpt.Entry) bool { return o.Number == last.Number }) {
		t.Errorf("partition %d %q is the last of the disk: root cannot grow", last.Number, last.Label)
	}
	boot := make([]byte, 9)
	if _, err := after.ReadAt(boot, 0); err != nil || string(boot) != "boot code" {
		t.Errorf("boot code: %q, %v", boot, err)
	}
	sameDisk(t, path)
	return after
}

// sameDisk lets the usual programs compare the formats.
func sameDisk(t testing.TB, path string) {
	t.Helper()
	qcow2 := strings.TrimSuffix(path, disk.Raw) + disk.QCOW2
	run(t, "qemu-img", "check", "-q", "-f", "qcow2", qcow2)
	run(t, "qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", path, qcow2)
	unpacked := filepath.Join(t.TempDir(), "unpacked")
	run(t, "zstd", "-q", "-d", "--sparse", path+".zst", "-o", unpacked)
	run(t, "qemu-img", "compare", "-q", "-f", "raw", "-F", "raw", path, unpacked)
}

// hasPayload reads the payload's partition as any Linux does.
func hasPayload(t testing.TB, o opened) {
	t.Helper()
	iso := o.extract(t, PayloadLabel)
	if out := run(t, "blkid", "-p", "-o", "export", iso); !strings.Contains(out, "LABEL=imgforge\n") || !strings.Contains(out, "TYPE=iso9660\n") {
		t.Errorf("blkid: %s", out)
	}
	for _, want := range payload() {
		r, err := want.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := run(t, "isoinfo", "-R", "-x", "/"+want.Path, "-i", iso); got != string(data) {
			t.Errorf("%s has %d bytes, want %d", want.Path, len(got), len(data))
		}
	}
}
