package toolchain

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// unusedFor is how long a program may go unused. Each change of a pin, or of Go, makes
// new ones; the old ones are wanted only by whoever goes back to an older commit.
const unusedFor = 14 * 24 * time.Hour

// lockName is the file in a program's folder that is held while it is built, and whose
// time is that of the last use.
const lockName = "lock"

// use notes that a folder's program is used now.
func use(dir string, now time.Time) error {
	return os.Chtimes(filepath.Join(dir, lockName), now, now)
}

// lock makes dir and waits until no other process builds in it, or removes it.
func lock(dir string) (unlock func(), err error) {
	for {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the folder was removed between the two
		}
		if err != nil {
			return nil, err
		}
		if err := flock(f, syscall.LOCK_EX); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		if inPlace(f) {
			return func() { f.Close() }, nil // closing lets the lock go
		}
		f.Close()
	}
}

// prune removes the folders whose programs nobody has used for long. One in which
// somebody builds stays.
func prune(cache string, now time.Time) error {
	all, err := filepath.Glob(filepath.Join(cache, "*", lockName))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range all {
		errs = append(errs, removeUnused(path, now))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove programs that are no longer used: %w", err)
	}
	return nil
}

// removeUnused removes the folder of a lock that is free and old.
func removeUnused(path string, now time.Time) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil
		}
		return err
	}
	info, err := f.Stat()
	if err != nil || now.Sub(info.ModTime()) <= unusedFor || !inPlace(f) {
		return err
	}
	return os.RemoveAll(filepath.Dir(path))
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// inPlace tells whether a file is still the one of its name.
func inPlace(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	at, err := os.Stat(f.Name())
	return err == nil && os.SameFile(info, at)
}
