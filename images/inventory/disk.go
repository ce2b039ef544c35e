package inventory

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/imgforge/imgforge/images/attest"
	"github.com/imgforge/imgforge/images/ext4"
	"github.com/imgforge/imgforge/images/gpt"
	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/images/squashfs"
)

// Disk lists the packages that dpkg installed on a disk of an operating system, where
// that lies in a partition with ext4 or squashfs. There are none when no partition has
// such a list, as those of systems that are not made of packages of Debian.
func Disk(c sparse.Content) ([]attest.Component, error) {
	table, err := gpt.Read(c, c.Size())
	if err != nil {
		return nil, fmt.Errorf("list the packages of a disk: %w", err)
	}
	var all []attest.Component
	for _, e := range table.Entries() {
		at, size := table.ByteRange(e)
		part, err := sparse.Section(c, at, size)
		if err != nil {
			return nil, err
		}
		read := reader(part)
		if read == nil {
			continue
		}
		here, err := installed(read)
		if err != nil {
			return nil, fmt.Errorf("list the packages of partition %d %q: %w", e.Number, e.Label, err)
		}
		all = append(all, here...)
	}
	return all, nil
}

// reading gives a file's contents by its path; nil when it is not there, or is a link.
type reading func(name string) ([]byte, error)

// reader is nil for a partition in whose file system no system is looked for.
func reader(part sparse.Content) reading {
	if squashfs.Is(part) {
		r, err := squashfs.OpenReader(part)
		if err != nil {
			return nil // whoever mounts it will tell
		}
		return func(name string) ([]byte, error) { return readSquashfs(r, name) }
	}
	if _, ok := ext4.Label(part); !ok {
		return nil
	}
	r, err := ext4.OpenReader(part)
	if err != nil {
		return nil // which the gate tells of
	}
	return func(name string) ([]byte, error) { return readExt4(r, name) }
}

// usrStatus are the lists of a system whose /usr is a file system of its own: what is
// installed, and what its initrd and boot loaders have from packages that are not.
func usrStatus() []string { return []string{"lib/dpkg/status", "lib/dpkg/status.d/boot"} }

// installed are the packages of a file system; nil when it has no list of any.
func installed(read reading) (all []attest.Component, err error) {
	id, release := "debian", ""
	for _, name := range append(osRelease(), "lib/os-release") { // the first is a link in most, and links are not followed
		if text, err := read(name); err == nil && text != nil {
			id, release = distribution(text)
		}
	}
	for _, name := range append(usrStatus(), dpkgStatus) {
		status, err := read(name)
		if err != nil {
			return nil, err
		}
		if status != nil {
			all = append(all, dpkg(status, id, release)...)
		}
	}
	return all, nil
}

// readExt4 reads a file of ext4.
func readExt4(r *ext4.Reader, name string) ([]byte, error) {
	n, err := r.Lookup("/" + name)
	if ok, err := wanted(name, n.Mode, n.Size, err); !ok {
		return nil, err
	}
	return r.Read(n, maxText)
}

// readSquashfs reads a file of squashfs.
func readSquashfs(r *squashfs.Reader, name string) ([]byte, error) {
	n, err := r.Lookup(name)
	if ok, err := wanted(name, n.Mode, n.Size, err); !ok {
		return nil, err
	}
	return r.Read(n, maxText)
}

// wanted tells whether what was looked up is read: what is not there or no file is not,
// which is no error.
func wanted(name string, mode fs.FileMode, size int64, err error) (bool, error) {
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && !mode.IsRegular():
		return false, nil
	case err != nil:
		return false, err
	case size > maxText:
		return false, fmt.Errorf("/%s has %d bytes, which no such file has", name, size)
	}
	return true, nil
}
