package disk

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/imgforge/imgforge/images/qcow2"
	"github.com/imgforge/imgforge/images/sparse"
)

// Image is an open image of a disk.
type Image struct {
	sparse.Content
	file *os.File
	// Packed is the form in which it was found: raw, qcow2, or how it was compressed.
	Packed string
}

// Close closes the file. The disk cannot be read afterwards.
func (m *Image) Close() error { return m.file.Close() }

// Open opens an image: raw or qcow2, as it is or compressed with gzip, bzip2, xz or
// zstd. What is compressed is unpacked into a file without a name in the folder
// temp, since a disk is not read in order. The file must not change while it is open.
func Open(path, temp string) (*Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	m, err := open(f, temp)
	if err != nil {
		return nil, fmt.Errorf("open image %s: %w", path, err)
	}
	return m, nil
}

// open takes the file over.
func open(f *os.File, temp string) (*Image, error) {
	packed := "raw"
	head := make([]byte, 8)
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		f.Close()
		return nil, err
	}
	if name, unpack := compression(head); unpack != nil {
		plain, err := unpackInto(temp, f, unpack)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("unpack it (%s): %w", name, err)
		}
		f, packed = plain, name
		if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
			f.Close()
			return nil, err
		}
	}
	c, err := sparse.NewFile(f)
	if err == nil && bytes.HasPrefix(head, []byte("QFI\xfb")) {
		var m *qcow2.Image
		if m, err = qcow2.Open(f, c.Size()); err == nil {
			return &Image{m, f, "qcow2"}, nil
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Image{c, f, packed}, nil
}

// compression tells by the first bytes how a file is compressed.
func compression(head []byte) (name string, unpack func(io.Reader) (io.Reader, error)) {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return "gzip", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	case bytes.HasPrefix(head, []byte("BZh")):
		return "bzip2", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return "xz", func(r io.Reader) (io.Reader, error) { return xz.NewReader(r) }
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return "zstd", func(r io.Reader) (io.Reader, error) {
			return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		}
	}
	return "", nil
}

// unpackInto writes what a compressed file holds into one that vanishes when it is
// closed, or when this process ends.
func unpackInto(dir string, f *os.File, unpack func(io.Reader) (io.Reader, error)) (*os.File, error) {
	r, err := unpack(bufio.NewReaderSize(io.NewSectionReader(f, 0, 1<<62), 1<<20))
	if err != nil {
		return nil, err
	}
	out, err := Scratch(dir)
	if err != nil {
		return nil, err
	}
	if err := unpackAll(out, r); err != nil {
		out.Close()
		return nil, err
	}
	return out, nil
}

// Scratch is an empty file without a name in a folder.
func Scratch(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, ".imgforge-tmp-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func unpackAll(out *os.File, r io.Reader) error {
	buf := make([]byte, 1<<20)
	zeros := make([]byte, 64<<10)
	at := int64(0)
	for {
		n, err := io.ReadFull(r, buf)
		for i := 0; i < n; i += len(zeros) {
			block := buf[i:min(i+len(zeros), n)]
			if bytes.Equal(block, zeros[:len(block)]) {
				continue
			}
			if _, err := out.WriteAt(block, at+int64(i)); err != nil {
				return err
			}
		}
		at += int64(n)
		switch {
		case errors.Is(err, io.EOF), n > 0 && errors.Is(err, io.ErrUnexpectedEOF) && atEnd(r):
			return out.Truncate(at)
		case err != nil:
			return err
		}
	}
}

// atEnd tells a source that is shorter than the buffer from one that is cut short:
// a cut one says so again.
func atEnd(r io.Reader) bool {
	n, err := r.Read(make([]byte, 1))
	return n == 0 && errors.Is(err, io.EOF)
}
