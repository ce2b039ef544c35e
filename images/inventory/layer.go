package inventory

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// layer is what one layer says: of its files only those that tell something.
type layer struct {
	paths    map[string]bool // everything that it has; true for folders
	links    map[string]string
	programs map[string]*program
	texts    map[string][]byte
	// removed are what it takes away of the layers below, and emptied the folders of
	// which it leaves nothing (OCI image specification, layer.md).
	removed, emptied []string
}

// maxText is more than any note of a package manager has, in bytes.
const maxText = 64 << 20

const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// readLayer reads a layer, packed or not, to its end.
func readLayer(r io.Reader, s *spool) (*layer, error) {
	plain, err := unpacked(r)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	l := &layer{paths: map[string]bool{}, links: map[string]string{}, programs: map[string]*program{}, texts: map[string][]byte{}}
	for t := tar.NewReader(plain); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err != nil {
			return nil, fmt.Errorf("it is no archive of files: %w", err)
		}
		if err := l.entry(h, t, s); err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

func (l *layer) entry(h *tar.Header, r io.Reader, s *spool) (err error) {
	at := clean(h.Name)
	dir, name := path.Split(at)
	switch {
	case name == opaque:
		l.emptied = append(l.emptied, clean(dir))
		return nil
	case strings.HasPrefix(name, whiteout):
		l.removed = append(l.removed, path.Join(clean(dir), strings.TrimPrefix(name, whiteout)))
		return nil
	}
	l.paths[at] = h.Typeflag == tar.TypeDir
	switch h.Typeflag {
	case tar.TypeSymlink:
		l.links[at] = h.Linkname
	case tar.TypeLink: // another name of a file of this layer
		if p := l.programs[clean(h.Linkname)]; p != nil {
			l.programs[at] = p
		}
	case tar.TypeReg:
		if telling(at) {
			if h.Size > maxText {
				return fmt.Errorf("it has %d bytes, which no such file has", h.Size)
			}
			l.texts[at], err = io.ReadAll(r)
			return err
		}
		p, err := s.program(r)
		if p != nil {
			l.programs[at] = p
		}
		return err
	}
	return nil
}

// clean is a path without a slash at its beginning; "." is the root.
func clean(name string) string {
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name == "" {
		return "."
	}
	return name
}

// packing is a reader and what has to be closed with it.
type packing struct {
	io.Reader
	close func()
}

func (p packing) Close() error { p.close(); return nil }

// unpacked tells by the first bytes how a layer is compressed.
func unpacked(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 256<<10)
	head, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, err
		}
		return packing{z, func() { z.Close() }}, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, err
		}
		return packing{z, z.Close}, nil
	}
	return packing{b, func() {}}, nil
}
