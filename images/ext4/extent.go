package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Flags of an inode.
const (
	flagExtents = 0x80000
	flagInline  = 0x10000000
)

// Read is a file's beginning, of at most so many bytes.
func (f *Reader) Read(n Node, most int64) ([]byte, error) {
	flags := binary.LittleEndian.Uint32(n.raw[0x20:])
	size := min(n.Size, most)
	if size == 0 {
		return nil, nil
	}
	if flags&flagExtents == 0 || flags&flagInline != 0 {
		return nil, fmt.Errorf("read ext4: %s is not kept in extents", n.Name)
	}
	out := make([]byte, size)
	return out, f.extents(n.raw[0x28:0x28+60], 5, out)
}

// extents fills out from a node of the tree of extents; what no extent covers is zeros.
func (f *Reader) extents(node []byte, deepest int, out []byte) error {
	le := binary.LittleEndian
	count, depth := int(le.Uint16(node[2:])), int(le.Uint16(node[6:]))
	if le.Uint16(node) != 0xf30a || 12+12*count > len(node) || depth > deepest {
		return errors.New("read ext4: a tree of extents is damaged")
	}
	for e := range count {
		entry := node[12+12*e:]
		from := int64(le.Uint32(entry)) * f.block
		if from >= int64(len(out)) {
			continue
		}
		if depth > 0 {
			below, err := f.at((int64(le.Uint32(entry[4:]))|int64(le.Uint16(entry[8:]))<<32)*f.block, f.block)
			if err == nil {
				err = f.extents(below, depth-1, out)
			}
			if err != nil {
				return err
			}
			continue
		}
		blocks := int64(le.Uint16(entry[4:]))
		if blocks > 1<<15 {
			continue // set aside, not written
		}
		place := (int64(le.Uint32(entry[8:])) | int64(le.Uint16(entry[6:]))<<32) * f.block
		part := out[from:min(int64(len(out)), from+blocks*f.block)]
		if n, err := f.r.ReadAt(part, place); n < len(part) {
			return fmt.Errorf("read ext4 at byte %d: %w", place, err)
		}
	}
	return nil
}
