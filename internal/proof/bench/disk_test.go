package bench

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/imgforge/imgforge/images"
	"github.com/imgforge/imgforge/images/bake"
	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/images/qcow2"
	"github.com/imgforge/imgforge/internal/testtool"
)

// BenchmarkBake bakes a base of 4 GiB, a quarter of it data in 64 runs, with a
// payload of 256 MiB, and copies the same files with cp. Each writes a new file; imgforge
// also waits until the disk has it, which cp does not: cp-synced does, and how long that
// takes depends on what else the disk has to do. Aims: at most 1.5 times cp, and under
// 200 MiB of memory.
func BenchmarkBake(b *testing.B) {
	base, payload := baseImage(b), filepath.Join(b.TempDir(), "payload")
	fill(b, payload, 256<<20, []int64{0}, 256<<20)
	var us, cp, synced cost
	peak := 0.0
	for b.Loop() {
		dir := b.TempDir()
		us.of(func() { peak = max(peak, bakeAlone(b, base, payload, filepath.Join(dir, "disk"), disk.Raw)) })
		copies := []string{"--sparse=always", base, payload, dir}
		cp.of(func() { command(b, "cp", copies...) })
		forget(b, dir)
		synced.of(func() {
			command(b, "cp", copies...)
			command(b, "sync", filepath.Join(dir, filepath.Base(base)), filepath.Join(dir, filepath.Base(payload)))
		})
		forget(b, dir)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(us.wall.Seconds()/float64(b.N), "imgforge-s")
	b.ReportMetric(cp.wall.Seconds()/float64(b.N), "cp-s")
	us.report(b, cp, "ratio")
	us.report(b, synced, "ratio-to-cp-synced")
	b.ReportMetric(peak, "peak-MiB")
}

// BenchmarkQCOW2 writes the same raw disk as qcow2, and so does qemu-img, which does not
// wait for the disk: nor does imgforge where the two are compared. As a build does it,
// with the disk waited for, it is compared with qemu-img and sync. Who begins changes,
// since what one leaves in memory to be written later slows the other down. Aim: at most
// 1.2 times its time.
func BenchmarkQCOW2(b *testing.B) {
	base := baseImage(b)
	var us, usSynced, them, themSynced cost
	for round := 0; b.Loop(); round++ {
		dir := b.TempDir()
		ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
		convert := func() { command(b, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", base, theirs) }
		pairs := []func(){
			func() { us.of(func() { plainQCOW2(b, base, ours) }) }, func() { them.of(convert) },
			func() { usSynced.of(func() { syncedQCOW2(b, base, ours) }) }, func() { themSynced.of(func() { convert(); command(b, "sync", theirs) }) },
		}
		for pair := range 2 {
			pairs[2*pair+round%2]()
			pairs[2*pair+1-round%2]()
			command(b, "qemu-img", "compare", "-q", ours, theirs)
			forget(b, dir)
			command(b, "sync", "-f", dir)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(us.wall.Seconds()/float64(b.N), "imgforge-s")
	b.ReportMetric(them.wall.Seconds()/float64(b.N), "qemu-img-s")
	us.report(b, them, "ratio")
	usSynced.report(b, themSynced, "ratio-synced")
}

// plainQCOW2 writes and waits for nothing.
func plainQCOW2(b *testing.B, base, to string) {
	m, err := disk.Open(base, filepath.Dir(to))
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	f, err := os.Create(to)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := qcow2.Write(f, m); err != nil {
		b.Fatal(err)
	}
}

// syncedQCOW2 writes as a build does.
func syncedQCOW2(b *testing.B, base, to string) {
	m, err := disk.Open(base, filepath.Dir(to))
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	if err := disk.Write(to, 0o600, disk.QCOW2, m); err != nil {
		b.Fatal(err)
	}
}

func command(b *testing.B, name string, args ...string) {
	b.Helper()
	if out, err := exec.Command(testtool.Path(b, name), args...).CombinedOutput(); err != nil {
		b.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// forget empties a folder, so that no file is written over an old one.
func forget(b *testing.B, path string) {
	b.Helper()
	if err := os.RemoveAll(path); err != nil {
		b.Fatal(err)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		b.Fatal(err)
	}
}

// baseImage is a disk as Debian's: 4 GiB, of which 1 GiB is data.
func baseImage(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "base")
	root := filepath.Join(b.TempDir(), "root")
	fill(b, root, 3800<<20, nil, 0)
	command(b, "mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1", root)
	command(b, "cp", "--sparse=always", root, path+".root")
	var at []int64
	for i := range int64(64) {
		at = append(at, 200<<20+i*50<<20)
	}
	fill(b, path, 4<<30, at, 16<<20)
	command(b, "sgdisk", "-n", "14:2048:8191", "-t", "14:ef02", "-n", "1:131072:+3800M", "-t", "1:8304", path)
	command(b, "dd", "if="+root, "of="+path, "bs=1M", "seek=64", "count=64", "conv=notrunc", "status=none")
	return path
}

// fill makes a file of size bytes with random data of length bytes at some places.
func fill(b *testing.B, path string, size int64, at []int64, length int) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		b.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1})
	data := make([]byte, 1<<20) // little: a process that is started counts the memory of the one that starts it
	for _, offset := range at {
		for done := 0; done < length; done += len(data) {
			random.Read(data)
			if _, err := f.WriteAt(data, offset+int64(done)); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}

// bakeAlone bakes in a process of its own and returns its peak of memory in MiB.
func bakeAlone(b *testing.B, base, payload, out, format string) float64 {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestBakeAlone$")
	cmd.Env = append(os.Environ(), "IMGFORGE_BENCH_BASE="+base, "IMGFORGE_BENCH_PAYLOAD="+payload, "IMGFORGE_BENCH_OUT="+out, "IMGFORGE_BENCH_FORMAT="+format)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024 // Linux counts in KiB
}

// TestBakeAlone is the process that bakeAlone starts; by itself it does nothing.
func TestBakeAlone(t *testing.T) {
	payload, out := os.Getenv("IMGFORGE_BENCH_PAYLOAD"), os.Getenv("IMGFORGE_BENCH_OUT")
	if out == "" {
		return
	}
	source, err := images.FromFile("payload", 0o644, payload)
	if err != nil {
		t.Fatal(err)
	}
	_, err = bake.Bake(context.Background(), bake.Job{Base: os.Getenv("IMGFORGE_BENCH_BASE"), Kind: bake.Debian, Config: []byte("#cloud-config\n"), Instance: "i", Time: 1,
		Files: []images.Source{source}, Outputs: []bake.Output{{Path: out, Format: os.Getenv("IMGFORGE_BENCH_FORMAT"), Mode: 0o600}}})
	if err != nil {
		t.Fatal(err)
	}
}
