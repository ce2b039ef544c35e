package gpt

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

const disk = 64 << 20 // bytes of the test disks

// made is a disk as sfdisk makes it: gaps in the numbers, attributes, boot code.
func made(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, disk); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testtool.Path(t, "sfdisk"), "-q", path)
	cmd.Stdin = strings.NewReader(`label: gpt
label-id: 00000000-0000-0000-0000-000000000001
unit: sectors
first-lba: 34

1 : start=2048, size=8192, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="EFI-SYSTEM"
9 : start=40960, size=16384, type=3884DD41-8582-4404-B9A8-E9B84F2DF50E, name="ROOT ü"
3 : start=20480, size=16384, type=5DFBF5F4-2848-4BAC-AA5E-0D9A20B745A6, name="USR-A", uuid=7130c94a-213a-4e5a-8e26-6cce9662f132, attrs="GUID:48,56"
`)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("boot code"), 0); err != nil {
		t.Fatal(err)
	}
	return path
}

func sgdisk(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(testtool.Path(t, "sgdisk"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("sgdisk %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func open(t testing.TB, path string) (*Table, []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	table, err := Read(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return table, data
}

// apply writes a table over a disk of the size it says.
func apply(t testing.TB, table *Table, data []byte) []byte {
	t.Helper()
	out := make([]byte, int64(table.Sectors)*table.SectorSize)
	copy(out, data)
	array, arrayAt := table.Array()
	back, backAt := table.Back()
	copy(out, table.Front())
	copy(out[arrayAt:], array)
	copy(out[backAt:], back)
	return out
}

// What is read and written again unchanged has not one other byte.
func TestNothingChanges(t *testing.T) {
	table, data := open(t, made(t))
	if got := apply(t, table, data); !bytes.Equal(got, data) {
		t.Error("the disk differs")
	}
}

func TestMoveGrowAndAdd(t *testing.T) {
	path := made(t)
	table, data := open(t, path)
	root, err := table.Labelled("ROOT ü")
	if err != nil || root.Number != 9 || root.First != 40960 {
		t.Fatalf("ROOT: %+v, %v", root, err)
	}
	if err := table.Resize((disk + 8<<20) / 512); err != nil {
		t.Fatal(err)
	}
	moved := root
	moved.First, moved.Last = root.First+16384, root.Last+16384
	number, err := table.Free()
	if err != nil {
		t.Fatal(err)
	}
	ours := Entry{Number: number, Type: root.Type, GUID: DerivedGUID("a", "b"), First: root.First, Last: root.First + 16383, Label: "imgforge"}
	if err := table.Set(ours); err == nil || !strings.Contains(err.Error(), "partitions 10 and 9 overlap") && !strings.Contains(err.Error(), "partitions 9 and 10 overlap") {
		t.Errorf("overlap: %v", err)
	}
	for _, e := range []Entry{moved, ours} {
		if err := table.Set(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, apply(t, table, data[:len(data)-33*512]), 0o600); err != nil {
		t.Fatal(err)
	}
	out := sgdisk(t, "-v", "-p", "-i", "3", "-i", "9", "-i", "10", path)
	for _, want := range []string{"No problems found", "identifier (GUID): 00000000-0000-0000-0000-000000000001",
		"7130C94A-213A-4E5A-8E26-6CCE9662F132", "Attribute flags: 0101000000000000", "5DFBF5F4-2848-4BAC-AA5E-0D9A20B745A6", "First sector: 20480",
		"First sector: 57344", "Partition name: 'ROOT ü'",
		ours.GUID.String(), "First sector: 40960", "Last sector: 57343", "Partition name: 'imgforge'"} {
		if !strings.Contains(out, want) {
			t.Errorf("sgdisk: %s\nwant %q in it", out, want)
		}
	}
	dump, err := exec.Command(testtool.Path(t, "sfdisk"), "--dump", path).CombinedOutput()
	if err != nil || strings.Contains(string(dump), "arning") {
		t.Errorf("sfdisk: %v: %s", err, dump)
	}
	if again, data := open(t, path); !bytes.Equal(apply(t, again, data)[:9], []byte("boot code")) {
		t.Error("the boot code is gone")
	}
}

func TestDamageIsRefused(t *testing.T) {
	_, whole := open(t, made(t))
	for name, tc := range map[string]struct {
		change func([]byte) []byte
		want   string
	}{
		"no table":        {func(d []byte) []byte { clear(d[:8192]); return d }, "it has no GUID partition table: it is not the image of a disk, or still packed"},
		"header":          {func(d []byte) []byte { d[512+60] ^= 1; return d }, "first copy: the checksum of its header is "},
		"entries":         {func(d []byte) []byte { d[1024+40] ^= 1; return d }, "first copy: the checksum of its entries is "},
		"backup":          {func(d []byte) []byte { clear(d[len(d)-512:]); return d }, "second copy: sector 131071 does not begin with EFI PART"},
		"cut short":       {func(d []byte) []byte { return d[:len(d)/2] }, "the file is cut short"},
		"odd size":        {func(d []byte) []byte { return d[:len(d)-1] }, "not whole sectors"},
		"grown":           {func(d []byte) []byte { return append(d, make([]byte, 1<<20)...) }, "the file was grown; run `sgdisk -e IMAGE` on a copy"},
		"hybrid":          {func(d []byte) []byte { d[446+16+4] = 0x83; return d }, "mixed tables are not known"},
		"nothing":         {func(d []byte) []byte { return nil }, "it has no GUID partition table"},
		"the backup says": {func(d []byte) []byte { return differing(t, d) }, "its two copies differ"},
	} {
		t.Run(name, func(t *testing.T) {
			data := tc.change(bytes.Clone(whole))
			if _, err := Read(bytes.NewReader(data), int64(len(data))); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	if _, err := Read(bytes.NewReader(nil), 0); !errors.Is(err, ErrNone) {
		t.Errorf("%v is not ErrNone", err)
	}
}

// differing has a second copy that is sound and says something else.
func differing(t *testing.T, d []byte) []byte {
	table, err := Read(bytes.NewReader(d), int64(len(d)))
	if err != nil {
		t.Fatal(err)
	}
	e := table.Entries()[0]
	e.Attributes ^= 4
	if err := table.Set(e); err != nil {
		t.Fatal(err)
	}
	back, at := table.Back()
	copy(d[at:], back)
	return d
}

func TestAmbiguous(t *testing.T) {
	table, _ := open(t, made(t))
	efi, usrA := table.Entries()[0], table.Entries()[1]
	efi.Label, efi.Type = usrA.Label, usrA.Type
	if err := table.Set(efi); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Labelled("USR-A"); err == nil || !strings.Contains(err.Error(), `partitions 1 and 3 are both labelled "USR-A"`) {
		t.Errorf("two: %v", err)
	}
	if _, err := table.Labelled("boot"); err == nil || !strings.Contains(err.Error(), `there is no partition labelled "boot"; there are 1 "USR-A", 3 "USR-A", 9 "ROOT ü"`) {
		t.Errorf("none: %v", err)
	}
	usr, err := ParseGUID("5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Typed(usr); err == nil || !strings.Contains(err.Error(), "are both of type") {
		t.Errorf("type: %v", err)
	}
}

// Whatever is read can be written and read again, and says the same.
func FuzzRead(f *testing.F) {
	data, err := os.ReadFile(made(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[:34*512], data[len(data)-33*512:])
	f.Fuzz(func(t *testing.T, front, back []byte) {
		data := append(append(bytes.Clone(front), make([]byte, 1<<20-(len(front)+len(back))%512)...), back...)
		table, err := Read(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		out := apply(t, table, data)
		again, err := Read(bytes.NewReader(out), int64(len(out)))
		if err != nil || len(again.Entries()) != len(table.Entries()) {
			t.Errorf("read again: %v", err)
		}
	})
}
