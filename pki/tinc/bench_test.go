package tinc

import (
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/testtool"
)

// BenchmarkRSA makes keys on every processor, in turns with as many `openssl
// genrsa` at once, so that both meet the same load. The ratio is our time over
// openssl's: below 1 is faster.
func BenchmarkRSA(b *testing.B) {
	openssl := testtool.Path(b, "openssl")
	const perRound = 16
	ours := func() error {
		_, err := NewRSA()
		return err
	}
	theirs := func() error { return exec.Command(openssl, "genrsa", "-out", "/dev/null", "2048").Run() }
	var us, them time.Duration
	for b.Loop() {
		us += spread(b, perRound, ours)
		them += spread(b, perRound, theirs)
	}
	keys := float64(b.N * perRound)
	b.ReportMetric(us.Seconds()/them.Seconds(), "ratio-to-openssl")
	b.ReportMetric(float64(us.Milliseconds())/keys, "ms/key")
	b.ReportMetric(float64(them.Milliseconds())/keys, "openssl-ms/key")
}

// spread calls one n times on every processor and returns how long it took.
func spread(b *testing.B, n int, one func() error) time.Duration {
	b.Helper()
	var wg sync.WaitGroup
	work := make(chan struct{}, n)
	for range n {
		work <- struct{}{}
	}
	close(work)
	begin := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for range work {
				if err := one(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(begin)
}
