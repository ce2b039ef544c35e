package etcd

import (
	"fmt"
	"os"

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
