package etcd

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// memoryFile is a file that no disk ever has, and a path to it for this process alone.
func memoryFile() (f *os.File, path string, err error) {
	fd, err := unix.MemfdCreate("snapshot", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, "", err
	}
	return os.NewFile(uintptr(fd), "snapshot"), fmt.Sprintf("/proc/self/fd/%d", fd), nil
}

// diskRoom is how large a snapshot may be, in bytes: its folder and the data folder both
// hold it, and where they are on one file system, that holds it twice. A data folder that
// is not there yet will be beside its parent's files.
func diskRoom(snapshot, data string) (int64, error) {
	if _, err := os.Stat(data); errors.Is(err, fs.ErrNotExist) {
		data = filepath.Dir(data)
	}
	var free [2]int64
	var device [2]uint64
	for i, path := range []string{filepath.Dir(snapshot), data} {
		var s unix.Stat_t
		var f unix.Statfs_t
		if err := unix.Stat(path, &s); err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		if err := unix.Statfs(path, &f); err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		device[i], free[i] = s.Dev, int64(min(f.Bavail, math.MaxInt64/uint64(f.Bsize)))*f.Bsize
	}
	if device[0] == device[1] {
		return free[0] / 2, nil
	}
	return min(free[0], free[1]), nil
}
