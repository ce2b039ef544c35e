//go:build !linux

package etcd

import (
	"errors"
	"os"
)

// memoryFile needs Linux, which every node runs.
func memoryFile() (f *os.File, path string, err error) {
	return nil, "", errors.ErrUnsupported
}

// diskRoom needs Linux, which every node runs.
func diskRoom(snapshot, data string) (int64, error) { return 0, errors.ErrUnsupported }
