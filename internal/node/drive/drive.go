// Package drive reads single files from drives that a hypervisor or a person attached
// to a machine: ISO 9660 and FAT, straight from the device. Nothing is mounted, so
// nothing has to be unmounted, and no kernel module is needed for it.
package drive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Drive is a file system on a block device.
type Drive struct {
	Device string // such as /dev/sr0
	Label  string
	volume volume
	file   *os.File
}

// volume is a file system that can be looked into.
type volume interface {
	label() string
	// read returns the first most bytes of a file, and [fs.ErrNotExist] when there is none.
	read(path string, most int) ([]byte, error)
}

// Labelled opens every drive with one of these labels, whatever their case, sorted by
// device. Devices that cannot be read, or hold something else, are passed over: a
// machine has many. root is "/" on a node.
func Labelled(root string, labels ...string) []*Drive {
	entries, err := os.ReadDir(filepath.Join(root, "/sys/class/block"))
	if err != nil {
		return nil
	}
	var out []*Drive
	for _, e := range entries {
		if virtual(e.Name()) {
			continue
		}
		d, err := open(root, "/dev/"+strings.ReplaceAll(e.Name(), "!", "/"))
		if err != nil {
			continue
		}
		if !slices.ContainsFunc(labels, func(l string) bool { return strings.EqualFold(l, d.Label) }) {
			d.Close()
			continue
		}
		out = append(out, d)
	}
	return out
}

// virtual tells devices that nobody attaches, and floppies, whose motors take seconds.
func virtual(name string) bool {
	return slices.ContainsFunc([]string{"loop", "ram", "zram", "dm-", "md", "fd", "nbd"}, func(p string) bool { return strings.HasPrefix(name, p) })
}

func open(root, device string) (*Drive, error) {
	// Without O_NONBLOCK, opening an empty CD drive moves its tray.
	f, err := os.OpenFile(filepath.Join(root, device), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	v, err := volumeOf(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Drive{Device: device, Label: v.label(), volume: v, file: f}, nil
}

// errForeign is a file system of another kind, or none.
var errForeign = errors.New("neither ISO 9660 nor FAT")

func volumeOf(r io.ReaderAt) (volume, error) {
	if v, err := openISO(r); err == nil {
		return v, nil
	}
	if v, err := openFAT(r); err == nil {
		return v, nil
	}
	return nil, errForeign
}

// Read returns a file by its path on the drive, or [fs.ErrNotExist]. One that is larger
// than most bytes is cut there: nobody asks this package for more.
func (d *Drive) Read(path string, most int) ([]byte, error) {
	data, err := d.volume.read(path, most)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s on %s: %w", path, d.Device, err)
	}
	return data, err
}

// Close closes the device.
func (d *Drive) Close() error { return d.file.Close() }

// maxFolder bounds what one folder may take, in bytes: these drives hold a few files.
const maxFolder = 1 << 20

// at reads exactly size bytes at an offset.
func at(r io.ReaderAt, offset int64, size int) ([]byte, error) {
	data := make([]byte, size)
	n, err := r.ReadAt(data, offset)
	if n < size {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return data, nil
}

// parts are the names in a path.
func parts(path string) []string { return strings.Split(strings.Trim(path, "/"), "/") }
