package images

import (
	"fmt"
	"io"
	"os"
)

// FromFile makes a Source of a file on this machine, with the size that it has now.
func FromFile(path string, mode uint32, file string) (Source, error) {
	info, err := os.Stat(file)
	if err != nil {
		return Source{}, err
	}
	if !info.Mode().IsRegular() {
		return Source{}, fmt.Errorf("%s is not a regular file", file)
	}
	return Source{Path: path, Mode: mode, Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(file) }}, nil
}
