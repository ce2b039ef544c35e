package catalog

import (
	"archive/tar"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/ulikunitz/xz"
)

// Disk is a base's image as a raw disk, unpacked while it is read.
type Disk struct {
	raw    io.Reader
	packed io.ReadCloser
}

// Read gives the raw disk. Its end is reached only when the packed image was read
// to its end too, so that whoever checks that one has seen all of it.
func (d *Disk) Read(p []byte) (int, error) {
	n, err := d.raw.Read(p)
	if errors.Is(err, io.EOF) {
		if _, rest := io.Copy(io.Discard, d.packed); rest != nil {
			return n, rest
		}
	}
	return n, err
}

// OpenDisk unpacks an image of a base's format: bz2, xz, or tar.xz that holds disk.raw.
func OpenDisk(format string, packed io.ReadCloser) (*Disk, error) {
	d := &Disk{packed: packed}
	var err error
	switch format {
	case "bz2":
		d.raw = bzip2.NewReader(packed)
	case "xz":
		d.raw, err = xz.NewReader(packed)
	case "tar.xz":
		d.raw, err = diskInTar(packed)
	default:
		err = fmt.Errorf("%q is no format of a base", format)
	}
	if err != nil {
		packed.Close()
		return nil, fmt.Errorf("unpack the base: %w", err)
	}
	return d, nil
}

func diskInTar(packed io.Reader) (io.Reader, error) {
	plain, err := xz.NewReader(packed)
	if err != nil {
		return nil, err
	}
	t := tar.NewReader(plain)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the archive holds no disk.raw")
		}
		if err != nil {
			return nil, err
		}
		if h.Name == "disk.raw" || h.Name == "./disk.raw" {
			return t, nil
		}
	}
}

// Close lets the packed image go.
func (d *Disk) Close() error { return d.packed.Close() }
