package bake

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/btrfs"
	"github.com/imgforge/imgforge/images/ext4"
	"github.com/imgforge/imgforge/images/sparse"
)

// probe tells the file system of a partition and its label; "" for none it knows.
func probe(c sparse.Content) (kind, label string) {
	if label, ok := btrfs.Label(c); ok {
		return "btrfs", label
	}
	if label, ok := ext4.Label(c); ok {
		return "ext4", label
	}
	b := make([]byte, 512)
	if n, _ := c.ReadAt(b, 0); n < len(b) {
		return "", ""
	}
	switch {
	case string(b[:4]) == "XFSB":
		return "xfs", string(bytes.TrimRight(b[108:120], "\x00"))
	case b[510] == 0x55 && b[511] == 0xaa && string(b[82:87]) == "FAT32":
		return "vfat", strings.TrimRight(string(b[71:82]), " ")
	case b[510] == 0x55 && b[511] == 0xaa && string(b[54:57]) == "FAT":
		return "vfat", strings.TrimRight(string(b[43:54]), " ")
	}
	return "", ""
}

// check refuses a partition that holds something else than it should.
func (p partition) check(c sparse.Content) error {
	kind, label := probe(c)
	if kind == "" {
		kind = "no known file system"
	}
	switch {
	case p.fs != nil && !slices.Contains(p.fs, kind):
		return fmt.Errorf("it holds %s, not %s", kind, strings.Join(p.fs, " or "))
	case p.name != "" && label != p.name:
		return fmt.Errorf("its %s has the label %q, not %q", kind, label, p.name)
	}
	return nil
}
