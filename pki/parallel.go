package pki

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
)

// fileWorkers is how many files are read or written at once: more than there
// are processors, because a flush to the disk waits rather than works, and the
// file system answers several waiting flushes with one.
const fileWorkers = 16

// parallel calls do for 0..n-1 on several goroutines and returns the error of
// the lowest index, so that the same trouble always reads the same. After an
// error, or when ctx ends, nothing further is started.
func parallel(ctx context.Context, n, workers int, do func(i int) error) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		stop atomic.Bool
		errs = make([]error, n)
	)
	for range min(workers, n) {
		wg.Go(func() {
			for !stop.Load() && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[i] = do(i); errs[i] != nil {
					stop.Store(true)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return errors.Join(errors.New("interrupted: nothing was changed"), err)
	}
	return nil
}
