//go:build !linux

package artifact

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// flush writes everything below dir to its disk.
func flush(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// renameExchange is a Linux system call.
func renameExchange(a, b string) error { return errors.ErrUnsupported }
