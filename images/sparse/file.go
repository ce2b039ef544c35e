package sparse

import (
	"fmt"
	"os"
)

// File is the content of an open file. Holes that the file system knows are left
// out; a file system that knows none has one run.
type File struct {
	*os.File
	size int64
}

// NewFile takes the size that the file has now.
func NewFile(f *os.File) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", f.Name())
	}
	return &File{f, info.Size()}, nil
}

// Size is the number of bytes.
func (f *File) Size() int64 { return f.size }

// Next asks the file system.
func (f *File) Next(offset int64) (int64, int64, error) {
	if offset >= f.size {
		return f.size, f.size, nil
	}
	from, to, err := extent(f.File, offset, f.size)
	return min(from, f.size), min(to, f.size), err
}
