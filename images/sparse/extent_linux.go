package sparse

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// extent is the next run of data of a file at or after offset.
func extent(f *os.File, offset, size int64) (from, to int64, err error) {
	from, err = f.Seek(offset, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO): // only a hole is left
		return size, size, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTSUP):
		return offset, size, nil
	case err != nil:
		return 0, 0, err
	}
	if to, err = f.Seek(from, unix.SEEK_HOLE); err != nil {
		return 0, 0, err
	}
	return from, to, nil
}
