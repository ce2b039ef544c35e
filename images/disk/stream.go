package disk

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/imgforge/imgforge/images/qcow2"
)

// Stream reads the disk of an image from its beginning to its end, in any form that
// [Open] knows and without unpacking it into a file.
func Stream(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := stream(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open image %s: %w", path, err)
	}
	return streamed{r, f}, nil
}

type streamed struct {
	io.Reader
	io.Closer
}

func stream(f *os.File) (io.Reader, error) {
	head := make([]byte, 8)
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if _, unpack := compression(head); unpack != nil {
		return unpack(bufio.NewReaderSize(f, 1<<20))
	}
	if !bytes.HasPrefix(head, []byte("QFI\xfb")) {
		return f, nil
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m, err := qcow2.Open(f, info.Size())
	if err != nil {
		return nil, err
	}
	return io.NewSectionReader(m, 0, m.Size()), nil
}
