package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/pki/tinc"
)

// BenchmarkFromNothing builds the exoscale example from nothing, store and
// output folder, and makes the same with the programs that a user would chain:
// cfssl and cfssljson per certificate, wg per key, butane per node, xorriso per
// drive. The chain makes what the nodes of today need; imgforge makes the
// reserved slots as well. Aim: 0.1 of the chain's time.
func BenchmarkFromNothing(b *testing.B) {
	ours := home{b: b, dir: b.TempDir(), imgforge: binary(b)}
	chain := newChain(b, ours)
	var us, them time.Duration
	for b.Loop() {
		us += timed(func() {
			fresh := home{b: b, dir: b.TempDir(), imgforge: ours.imgforge}
			fresh.run("init", "--example", "exoscale")
			fresh.run("pki", "issue")
			fresh.run("build", "-o", filepath.Join(fresh.dir, "out"))
		})
		them += timed(chain.make)
	}
	b.ReportMetric(0, "ns/op") // both sides are in it: it would mean nothing
	b.ReportMetric(us.Seconds()/float64(b.N), "imgforge-s")
	b.ReportMetric(them.Seconds()/float64(b.N), "chain-s")
	b.ReportMetric(us.Seconds()/them.Seconds(), "ratio")
	b.Logf("the chain: %d certificates, %d nodes, %d drives", len(chain.certificates), len(chain.butane), chain.drives)
}

// BenchmarkTincRSA makes the RSA keys of a mesh on every core, as `pki init`
// does, and as many with openssl on the same cores. Aim: 1.0 or less.
func BenchmarkTincRSA(b *testing.B) {
	openssl := testtool.Path(b, "openssl")
	const keys = 64 // enough to even out the luck of finding primes
	var us, them time.Duration
	for b.Loop() {
		us += timed(func() {
			parallel(b, keys, func() error { _, err := tinc.NewRSA(); return err })
		})
		them += timed(func() {
			parallel(b, keys, func() error { return exec.Command(openssl, "genrsa", "2048").Run() })
		})
	}
	made := float64(b.N * keys)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(us.Seconds()*1000/made, "imgforge-ms/key")
	b.ReportMetric(them.Seconds()*1000/made, "openssl-ms/key")
	b.ReportMetric(us.Seconds()/them.Seconds(), "ratio")
}

// BenchmarkSize builds a tinc mesh of 100 and one of 1,000 nodes. Aims: a node
// of the large one costs at most 1.2 times what one of the small one costs, and
// the build stays under 300 MiB.
func BenchmarkSize(b *testing.B) {
	small, large := mesh(b, 100), mesh(b, 1000)
	var each [2]time.Duration
	peak := 0.0
	for b.Loop() {
		each[0] += timed(func() { small.run("build", "-o", filepath.Join(small.dir, "out")) }) / 100
		each[1] += timed(func() {
			usage := large.run("build", "-o", filepath.Join(large.dir, "out")).SysUsage().(*syscall.Rusage)
			peak = max(peak, float64(usage.Maxrss)/1024) // Linux counts in KiB
		}) / 1000
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(each[0].Seconds()*1000/float64(b.N), "ms/node-of-100")
	b.ReportMetric(each[1].Seconds()*1000/float64(b.N), "ms/node-of-1000")
	b.ReportMetric(each[1].Seconds()/each[0].Seconds(), "ratio")
	b.ReportMetric(peak, "peak-MiB")
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// cost is what some work took: by the clock, and of processors, those of the programs
// that it started included. On a machine that does other things besides, the latter
// tells more.
type cost struct{ wall, cpu time.Duration }

// of adds what f takes.
func (c *cost) of(f func()) {
	before := processors()
	c.wall += timed(f)
	c.cpu += processors() - before
}

// report names the ratios of two costs.
func (c cost) report(b *testing.B, than cost, name string) {
	b.ReportMetric(c.wall.Seconds()/than.wall.Seconds(), name)
	b.ReportMetric(c.cpu.Seconds()/than.cpu.Seconds(), name+"-cpu")
}

// processors is the time of processors that this process and all that it started and
// waited for have used.
func processors() time.Duration {
	var all time.Duration
	for _, who := range [...]int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if syscall.Getrusage(who, &r) == nil {
			all += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
	}
	return all
}

// parallel runs f n times on every core.
func parallel(b *testing.B, n int, f func() error) {
	b.Helper()
	var group sync.WaitGroup
	work := make(chan struct{})
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for range work {
				if err := f(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for range n {
		work <- struct{}{}
	}
	close(work)
	group.Wait()
}

// home is a user's folder with a cluster file, and the command.
type home struct {
	b        *testing.B
	dir      string
	imgforge string
}

// run is one command line; it returns how the process ended.
func (h home) run(args ...string) *os.ProcessState {
	cmd := h.command(args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.b.Fatalf("imgforge %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return cmd.ProcessState
}

func (h home) command(args ...string) *exec.Cmd {
	cmd := exec.Command(h.imgforge, append(args, "-f", filepath.Join(h.dir, "cluster.yaml"))...)
	cmd.Dir = h.dir
	cmd.Env = append(os.Environ(), "HOME="+h.dir, "XDG_CONFIG_HOME="+filepath.Join(h.dir, ".config"))
	return cmd
}

func (h home) output(args ...string) []byte {
	out, err := h.command(args...).Output()
	if err != nil {
		h.b.Fatalf("imgforge %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func (h home) plan() *plan.Plan {
	p := &plan.Plan{}
	if err := json.Unmarshal(h.output("plan", "--json"), p); err != nil {
		h.b.Fatal(err)
	}
	return p
}

// mesh is a tinc cluster of n nodes with its store.
func mesh(b *testing.B, n int) home {
	b.Helper()
	h := home{b: b, dir: b.TempDir(), imgforge: binary(b)}
	text := fmt.Sprintf(`name: large
platform: {provider: scaleway, userDataBudget: 16777216} # hubs carry every key
kubernetes: {podCIDR: 10.128.0.0/9}
network: {mesh: tinc, cidr: 172.16.0.0/16}
roles:
  master: {count: 3, reserve: 0}
  worker: {count: %d, reserve: 0}
`, n-3)
	if err := os.WriteFile(filepath.Join(h.dir, "cluster.yaml"), []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	h.run("pki", "init")
	h.run("pki", "issue")
	return h
}

func binary(b *testing.B) string {
	b.Helper()
	root, err := testtool.ModuleRoot()
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "imgforge")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/imgforge")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return path
}
