package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Flags of an inode.
const (
	flagExtents = 0x80000
	flagInline  = 0x10000000
)

// deepest is how many levels of a tree of extents are below the inode at most
// (Documentation/filesystems/ext4/ifork.rst, eh_depth).
const deepest = 5

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
	left := (deepest + 1) * (size + f.block)
	return out, f.extents(n.raw[0x28:0x28+60], deepest, out, &left)
}

// extents fills out from a node of the tree of extents; what no extent covers is zeros.
// What may still be read falls: the extents of a file do not overlap, and each block on
// each level of the tree is of another part of the file, so that all of them together are
// no larger than the file once for each level and once for itself. A damaged tree may
// refer to one block hundreds of times on each level.
func (f *Reader) extents(node []byte, level int, out []byte, left *int64) error {
	le := binary.LittleEndian
	count, depth := int(le.Uint16(node[2:])), int(le.Uint16(node[6:]))
	if le.Uint16(node) != 0xf30a || 12+12*count > len(node) || depth > level {
		return errors.New("read ext4: a tree of extents is damaged")
	}
	for e := range count {
		entry := node[12+12*e:]
		from := int64(le.Uint32(entry)) * f.block
		if from >= int64(len(out)) {
			continue
		}
		if depth > 0 {
			below := make([]byte, f.block)
			err := f.extent(uint64(le.Uint32(entry[4:]))|uint64(le.Uint16(entry[8:]))<<32, below, left)
			if err == nil {
				err = f.extents(below, depth-1, out, left)
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
		part := out[from:min(int64(len(out)), from+blocks*f.block)]
		if err := f.extent(uint64(le.Uint32(entry[8:]))|uint64(le.Uint16(entry[6:]))<<32, part, left); err != nil {
			return err
		}
	}
	return nil
}

// extent reads what begins with a block.
func (f *Reader) extent(block uint64, into []byte, left *int64) error {
	place, err := f.place(block)
	if err != nil {
		return err
	}
	if *left -= int64(len(into)); *left < 0 {
		return errors.New("read ext4: a tree of extents refers to the same blocks again and again: it is damaged")
	}
	if n, err := f.r.ReadAt(into, place); n < len(into) {
		return fmt.Errorf("read ext4 at byte %d: %w", place, err)
	}
	return nil
}

// place is where a block is, in bytes.
func (f *Reader) place(block uint64) (int64, error) {
	if block > math.MaxInt64/2/uint64(f.block) { // half of it leaves what is added within a table
		return 0, fmt.Errorf("read ext4: there is no block %d", block)
	}
	return int64(block) * f.block, nil
}
