package bake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/images"
	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/images/gpt"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/basedisk"
)

// refused bakes and wants an error, nothing written, and the base as it was.
func refused(t *testing.T, j Job, want string) {
	t.Helper()
	base := strings.TrimSuffix(j.Base, ".missing")
	before, err := os.Stat(base)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Bake(context.Background(), j)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	if strings.Contains(fmt.Sprint(err), "payload payload") {
		t.Error("the error repeats the config")
	}
	if left, err := os.ReadDir(filepath.Dir(j.Outputs[0].Path)); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if after, err := os.Stat(base); err != nil || after.ModTime() != before.ModTime() {
		t.Errorf("the base was written to: %v", err)
	}
}

// What is not an image of its kind, or was booted, or baked, is refused untouched.
func TestRefused(t *testing.T) {
	fresh := flatcar(t, basedisk.Small())
	with := func(entries ...gpt.Entry) string { return changed(t, fresh, entries...) }
	oem, spare, root := entry(t, fresh, "OEM"), entry(t, fresh, "OEM-CONFIG"), entry(t, fresh, "ROOT")
	named := func(e gpt.Entry, label string) gpt.Entry { e.Label = label; return e }
	typed := func(e gpt.Entry, other gpt.Entry) gpt.Entry { e.Type = other.Type; return e }
	behind := gpt.Entry{Number: 11, Type: oem.Type, GUID: gpt.DerivedGUID("x"), First: root.Last + 1, Last: root.Last + 8, Label: "data"}
	for name, tc := range map[string]struct {
		kind Kind
		base string
		want string
	}{
		"another distribution": {FCOS, fresh, `it is not an image of kind fcos: there is no partition labelled "boot"; there are 1 "EFI-SYSTEM", 2 "BIOS-BOOT"`},
		"no root type":         {Debian, fresh, "ambiguous"},
		"label gone":           {Flatcar, with(named(oem, "OME")), `there is no partition labelled "OEM"`},
		"label twice":          {Flatcar, with(named(spare, "OEM")), `partitions 6 and 7 are both labelled "OEM"`},
		"other type":           {Flatcar, with(typed(root, oem)), `partition 9 "ROOT" has type 0FC63DAF-8483-4772-8E79-3D69D8477DE4, not 3884DD41`},
		"other file system":    {Flatcar, with(named(oem, "x"), typed(named(spare, "OEM"), oem)), `partition 7 "OEM": it holds no known file system, not btrfs or ext4`},
		"behind root":          {Flatcar, with(behind), `partition 11 "data" lies behind the root partition 9 "ROOT"`},
		"booted":               {Flatcar, basedisk.Flatcar(t, basedisk.Small(), false), "flatcar/first_boot is missing: the image was booted"},
		"booted CoreOS":        {FCOS, basedisk.CoreOS(t, nil, "ignition.firstboot"), "/ignition.firstboot is missing: the image was booted"},
		"baked CoreOS":         {FCOS, basedisk.CoreOS(t, map[string]string{"ignition/config.ign": "{}"}), "/ignition/config.ign is there already"},
		"another platform":     {FCOS, basedisk.CoreOS(t, map[string]string{"loader.1/entries/ostree-1-fedora-coreos.conf": strings.Replace(basedisk.BLS, "metal", "aws", 1)}), "take the metal image as the base"},
		"no file":              {Debian, fresh, ""},
	} {
		t.Run(name, func(t *testing.T) {
			j := job(t, tc.kind, tc.base)
			if name == "another platform" {
				j.Platform = "scaleway"
			}
			if tc.want == "ambiguous" || tc.want == "" {
				tc.want = `it is not an image of kind debian`
			}
			refused(t, j, tc.want)
		})
	}
}

// entry is a partition of an image.
func entry(t *testing.T, path, label string) gpt.Entry {
	t.Helper()
	e, err := open(t, path).Labelled(label)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// changed is a copy of an image with other entries in its partition table.
func changed(t *testing.T, from string, entries ...gpt.Entry) string {
	t.Helper()
	o := open(t, from)
	path := filepath.Join(t.TempDir(), "changed")
	run(t, "cp", "--sparse=always", "--no-preserve=mode", from, path)
	for _, e := range entries {
		if err := o.Set(e); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	array, arrayAt := o.Array()
	back, backAt := o.Back()
	for at, data := range map[int64][]byte{0: o.Front(), arrayAt: array, backAt: back} {
		if _, err := f.WriteAt(data, at); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestBadJobs(t *testing.T) {
	base := flatcar(t, basedisk.Small())
	for name, tc := range map[string]struct {
		change func(*Job)
		want   string
	}{
		"kind":     {func(j *Job) { j.Kind = "windows" }, `there is no kind of image "windows": use one of ["fcos" "flatcar" "debian" "imgforge"]`},
		"config":   {func(j *Job) { j.Config = nil }, "the config is empty"},
		"platform": {func(j *Job) { j.Platform = "scaleway" }, "take the image of the platform"},
		"time":     {func(j *Job) { j.Time = 0 }, "at least 1 second after 1970"},
		"size":     {func(j *Job) { j.Size = 1 << 20 }, "the size of the disk must be a multiple of 512 and at least"},
		"no base":  {func(j *Job) { j.Base += ".missing" }, "no such file"},
		"itself":   {func(j *Job) { j.Outputs[1].Path = j.Base }, "is the base, or another output"},
		"twice":    {func(j *Job) { j.Outputs[1].Path = j.Outputs[0].Path }, "is the base, or another output"},
		"format":   {func(j *Job) { j.Outputs[0].Format = "vmdk" }, `there is no image format "vmdk"`},
		"too big":  {func(j *Job) { j.Config = bytes.Repeat([]byte("payload "), 9<<20) }, `partition 6 "OEM": `},
		"changing": {func(j *Job) { j.Files[0].Size++ }, "it has not the 2800001 bytes it was said to have"},
	} {
		t.Run(name, func(t *testing.T) {
			j := job(t, Flatcar, base)
			tc.change(&j)
			refused(t, j, tc.want)
		})
	}
}

// A disk that is full leaves nothing, and says what to do.
func TestFullDisk(t *testing.T) {
	testtool.Root(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		testtool.Skip(t, "a tmpfs is needed: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	base := flatcar(t, basedisk.Small())
	for _, format := range disk.Formats() {
		j := job(t, Flatcar, base)
		j.Outputs = []Output{{filepath.Join(dir, "disk"), format, 0o600}}
		_, err := Bake(context.Background(), j)
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") {
			t.Errorf("%s: %v", format, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
	// The base is unpacked there, too.
	packed := filepath.Join(t.TempDir(), "base.gz")
	if err := os.WriteFile(packed, []byte(run(t, "gzip", "-1", "-c", base)), 0o600); err != nil {
		t.Fatal(err)
	}
	j := job(t, Flatcar, packed)
	j.Outputs = []Output{{filepath.Join(dir, "disk"), disk.Zstd, 0o600}}
	if _, err := Bake(context.Background(), j); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("unpacking: %v", err)
	}
}

// A process that is killed leaves no file under a final name; one that is asked to
// stop leaves nothing at all.
func TestKilled(t *testing.T) {
	if base := os.Getenv("IMGFORGE_TEST_BAKE"); base != "" {
		j := job(t, Flatcar, base)
		for i := range j.Outputs {
			j.Outputs[i].Path = filepath.Join(os.Getenv("IMGFORGE_TEST_OUT"), filepath.Base(j.Outputs[i].Path))
		}
		j.Files = append(j.Files, images.Source{Path: "slow", Size: 1 << 30, Open: neverEnding})
		Bake(context.Background(), j)
		return
	}
	base, out := flatcar(t, basedisk.Small()), t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKilled$")
	cmd.Env = append(os.Environ(), "IMGFORGE_TEST_BAKE="+base, "IMGFORGE_TEST_OUT="+out, "TMPDIR="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitForFile(t, out)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // killed
	left, err := os.ReadDir(out)
	if err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return !strings.HasPrefix(e.Name(), ".imgforge-tmp-") }) {
		t.Errorf("left: %v, %v", left, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	j := job(t, Flatcar, base)
	j.Files = append(j.Files, images.Source{Path: "slow", Size: 1 << 30, Open: neverEnding})
	time.AfterFunc(300*time.Millisecond, stop)
	if _, err := Bake(ctx, j); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(j.Outputs[0].Path)); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// neverEnding is a file that comes slowly.
func neverEnding() (io.ReadCloser, error) { return io.NopCloser(trickle{}), nil }

type trickle struct{}

func (trickle) Read(p []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	n := min(len(p), 100<<10)
	for i := range p[:n] {
		p[i] = 1
	}
	return n, nil
}

// waitForFile waits until a file in a folder has grown.
func waitForFile(t *testing.T, dir string) {
	t.Helper()
	for range 6000 { // machines are busy
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil && info.Size() > 0 {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("nothing was written in a minute")
}
