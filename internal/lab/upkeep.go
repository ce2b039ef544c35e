package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// unusedFor is how long a folder of the cache may go unused. What is in them follows from
// programs and packages: with each change of those a new one is made, and the old ones
// are wanted only by whoever goes back to an older commit.
const unusedFor = 7 * 24 * time.Hour

// usedFolder has a file for every folder of the cache, of the same name, which labs that
// use the folder lock, shared, and whose time is that of the last use.
const usedFolder = "used"

// usedFile opens that of a folder.
func (l *Lab) usedFile(dir string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Join(l.Cache, usedFolder), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(l.Cache, usedFolder, filepath.Base(dir)), os.O_RDWR|os.O_CREATE, 0o644)
}

// use keeps a folder of the cache, there already or not, from being removed until Close.
func (l *Lab) use(dir string) error {
	for {
		f, err := l.usedFile(dir)
		if err != nil {
			return err
		}
		if err := flock(f, syscall.LOCK_SH); err != nil {
			f.Close()
			return err
		}
		now := time.Now()
		// Who removed the folder meanwhile has removed this file too.
		if at, err := os.Stat(f.Name()); err != nil || !isOpen(f, at) || os.Chtimes(f.Name(), now, now) != nil {
			f.Close()
			continue
		}
		l.later("use of "+dir, func(context.Context) error { return f.Close() })
		return nil
	}
}

// upkeep removes the folders of the cache that nobody has used for long, and what labs
// that were killed had begun to make. One that another lab uses stays.
func (l *Lab) upkeep(ctx context.Context, now time.Time) error {
	entries, err := os.ReadDir(l.Cache)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(l.Cache, e.Name())
		switch {
		case !e.IsDir() || strings.HasPrefix(e.Name(), idPrefix):
		case strings.HasPrefix(e.Name(), "."):
			if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > unusedFor {
				errs = append(errs, l.removeWork(ctx, path))
			}
		case strings.Contains(e.Name(), "-"): // kind-key
			errs = append(errs, l.removeUnused(ctx, path, now))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove what is no longer used of %s: %w", l.Cache, err)
	}
	return nil
}

// alone locks a folder of the cache that no lab uses; nil says that one does, or that
// somebody has just removed it. One whose use nobody has noted counts as used now.
func (l *Lab) alone(dir string) (*os.File, error) {
	f, err := l.usedFile(dir)
	if err != nil {
		return nil, err
	}
	err = flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if at, gone := os.Stat(f.Name()); err == nil && gone == nil && isOpen(f, at) {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = nil
	}
	return nil, err
}

// removeUnused removes one folder, if nobody has used it for long.
func (l *Lab) removeUnused(ctx context.Context, dir string, now time.Time) error {
	f, err := l.alone(dir)
	if f == nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || now.Sub(info.ModTime()) <= unusedFor {
		return err
	}
	gone, err := os.MkdirTemp(l.Cache, ".unused-")
	if err != nil {
		return err
	}
	// In one step: a folder of the cache is whole or not there.
	if err := os.Rename(dir, filepath.Join(gone, "part")); err != nil {
		return errors.Join(err, os.Remove(gone))
	}
	l.logf("%s was not used since %s: removed", filepath.Base(dir), info.ModTime().UTC().Format(time.DateOnly))
	return errors.Join(os.Remove(f.Name()), l.removeWork(ctx, gone))
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func isOpen(f *os.File, at fs.FileInfo) bool {
	info, err := f.Stat()
	return err == nil && os.SameFile(info, at)
}
