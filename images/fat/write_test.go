package fat

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

func written(t *testing.T, v Volume) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "volume")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(v.Size); err != nil {
		t.Fatal(err)
	}
	if err := Write(f, v); err != nil {
		t.Fatal(err)
	}
	return path
}

func file(path, text string) File {
	return File{Path: path, Size: int64(len(text)), Data: strings.NewReader(text)}
}

// What is written is clean for the real checker, and the real reader finds every file.
func TestWrite(t *testing.T) {
	long := strings.Repeat("kernel ", 100000)
	path := written(t, Volume{Size: 256 << 20, Label: "EFI-SYSTEM", ID: 0x1234abcd, Time: 1700000000,
		Files: []File{file("EFI/BOOT/BOOTX64.EFI", "loader"), file("vmlinuz", long), file("imgforge/first", ""), file("grub/grub.cfg", "set x=1\n")}})
	if out, err := exec.Command(testtool.Path(t, "fsck.fat"), "-n", "-v", path).CombinedOutput(); err != nil {
		t.Fatalf("fsck.fat: %v\n%s", err, out)
	}
	for name, want := range map[string]string{"EFI/BOOT/BOOTX64.EFI": "loader", "vmlinuz": long, "imgforge/first": "", "grub/grub.cfg": "set x=1\n"} {
		out, err := exec.Command(testtool.Path(t, "mtype"), "-i", path, "::"+name).Output()
		if err != nil || !bytes.Equal(out, []byte(want)) {
			t.Errorf("mtype %s: %v, %d bytes instead of %d", name, err, len(out), len(want))
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if there, err := Exists(f, name); !there || err != nil {
			t.Errorf("%s is not found: %v", name, err)
		}
		if got, err := Read(f, name); err != nil || string(got) != want {
			t.Errorf("Read %s: %v, %d bytes instead of %d", name, err, len(got), len(want))
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, v := range map[string]Volume{
		"bytes":          {Size: 32 << 20, Label: "ESP"},
		"capital":        {Size: 256 << 20, Label: "esp"},
		"do not fit":     {Size: 256 << 20, Label: "ESP", Files: []File{{Path: "big", Size: 1 << 30, Data: strings.NewReader("")}}},
		"eight letters":  {Size: 256 << 20, Label: "ESP", Files: []File{file("firstboot", "")}},
		"were read":      {Size: 256 << 20, Label: "ESP", Files: []File{{Path: "short", Size: 10, Data: strings.NewReader("1")}}},
		"more than 4":    {Size: 256 << 20, Label: "ESP", Files: []File{{Path: "big", Size: 1 << 33, Data: strings.NewReader("")}}},
		"with an extens": {Size: 256 << 20, Label: "ESP", Files: []File{file("a/b.text", "")}},
	} {
		err := Write(discard{}, v)
		if name == "more than 4" {
			name = "cannot have"
		}
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

type discard struct{}

func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
