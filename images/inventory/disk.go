package inventory

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/imgforge/imgforge/images/attest"
	"github.com/imgforge/imgforge/images/ext4"
	"github.com/imgforge/imgforge/images/gpt"
	"github.com/imgforge/imgforge/images/sparse"
)

// Disk lists the packages that dpkg installed on a disk of an operating system, where
// that lies in a partition with ext4. found is false when no partition has such a list,
// as those of systems that are not made of packages of Debian.
func Disk(c sparse.Content) (all []attest.Component, found bool, err error) {
	table, err := gpt.Read(c, c.Size())
	if err != nil {
		return nil, false, fmt.Errorf("list the packages of a disk: %w", err)
	}
	for _, e := range table.Entries() {
		at, size := table.ByteRange(e)
		part, err := sparse.Section(c, at, size)
		if err != nil {
			return nil, false, err
		}
		if _, ok := ext4.Label(part); !ok {
			continue
		}
		r, err := ext4.OpenReader(part)
		if err != nil {
			continue // which the gate tells of
		}
		status, err := readText(r, dpkgStatus)
		if err != nil {
			return nil, false, fmt.Errorf("list the packages of partition %d %q: %w", e.Number, e.Label, err)
		}
		if status == nil {
			continue
		}
		found = true
		id, release := "debian", ""
		for _, name := range osRelease() { // the first is a link in most, and links are not followed
			if text, err := readText(r, name); err == nil && text != nil {
				id, release = distribution(text)
			}
		}
		all = append(all, dpkg(status, id, release)...)
	}
	return all, found, nil
}

// readText is a file's contents; nil when it is not there, or is a link.
func readText(r *ext4.Reader, name string) ([]byte, error) {
	n, err := r.Lookup("/" + name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !n.Mode.IsRegular() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if n.Size > maxText {
		return nil, fmt.Errorf("/%s has %d bytes, which no such file has", name, n.Size)
	}
	return r.Read(n, maxText)
}
