package pki

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// BenchmarkStore makes, opens and reads stores of growing size. The cost of a
// node must not grow with their number.
func BenchmarkStore(b *testing.B) {
	for _, workers := range []int{100, 1000} {
		b.Run(fmt.Sprintf("%d nodes", workers), func(b *testing.B) {
			p := cluster(3, workers)
			ids := identities(b)
			var making, opening, reading time.Duration
			for i := 0; b.Loop(); i++ {
				dir := filepath.Join(b.TempDir(), "store")
				begin := time.Now()
				if _, _, err := Init(context.Background(), dir, p, Options{Identities: ids}); err != nil {
					b.Fatal(err)
				}
				making += time.Since(begin)
				begin = time.Now()
				s, err := Open(dir, p.Cluster, ids)
				if err != nil {
					b.Fatal(err)
				}
				if missing, err := s.Missing(p); err != nil || len(missing) > 0 {
					b.Fatal(missing, err)
				}
				opening += time.Since(begin)
				begin = time.Now()
				for _, c := range p.Certificates {
					if _, err := s.PrivateKey(c.ID); err != nil {
						b.Fatal(err)
					}
				}
				reading += time.Since(begin)
			}
			nodes := float64(b.N * workers)
			b.ReportMetric(float64(making.Microseconds())/nodes, "µs-make/node")
			b.ReportMetric(float64(opening.Microseconds())/nodes, "µs-open/node")
			b.ReportMetric(float64(reading.Microseconds())/nodes, "µs-read/node")
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-from-system")
		})
	}
}
