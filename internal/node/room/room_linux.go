package room

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// diskOf asks the kernel about the file system that a folder lies on.
func diskOf(path string) (disk, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return disk{}, fmt.Errorf("look at the disk of %s: %w", path, err)
	}
	unit := uint64(s.Bsize)
	return disk{size: s.Blocks * unit, free: s.Bfree * unit, spare: s.Bavail * unit}, nil
}

// allocate makes the file so long, of blocks that nobody else can have any more.
func allocate(path string, size uint64) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	have, err := f.Stat()
	if err != nil {
		return err
	}
	for {
		err = syscall.Fallocate(int(f.Fd()), 0, 0, int64(size))
		if err != syscall.EINTR {
			break
		}
	}
	switch err {
	case nil:
		return nil
	case syscall.ENOSPC: // somebody was quicker: what was kept stays, and the next look decides anew
		return f.Truncate(have.Size())
	}
	return errors.Join(os.NewSyscallError("fallocate", err), os.Remove(path))
}
