package artifact

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// flush writes everything below dir to its disk. One flush of the file system is
// thousands of times cheaper than one per file of a large cluster.
func flush(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

// renameExchange swaps two names in one step; errors.ErrUnsupported where the
// file system cannot.
func renameExchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) {
		return errors.ErrUnsupported
	}
	return err
}
