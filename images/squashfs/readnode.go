package squashfs

import (
	"encoding/binary"
	"fmt"
	"io/fs"
)

// metaReader reads metadata from block to block.
type metaReader struct {
	of   *Reader
	at   uint64 // of the next block in the image
	rest []byte
}

// next are the next size bytes.
func (m *metaReader) next(size int) ([]byte, error) {
	var out []byte
	for len(out) < size {
		if len(m.rest) == 0 {
			head, err := m.of.bytes(m.at, 2)
			if err != nil {
				return nil, err
			}
			h := binary.LittleEndian.Uint16(head)
			if m.rest, err = m.of.piece(m.at+2, uint32(h&^metaStored), h&metaStored != 0, metaSize); err != nil {
				return nil, err
			}
			if m.at += 2 + uint64(h&^metaStored); len(m.rest) == 0 {
				return nil, fmt.Errorf("an empty block of metadata ends at byte %d", m.at)
			}
		}
		n := min(size-len(out), len(m.rest))
		out, m.rest = append(out, m.rest[:n]...), m.rest[n:]
	}
	return out, nil
}

// from are size bytes that lie some bytes behind the beginning.
func (m *metaReader) from(offset uint64, size int) ([]byte, error) {
	if _, err := m.next(int(offset)); err != nil {
		return nil, err
	}
	return m.next(size)
}

// inode reads what an entry of a folder points to.
func (f *Reader) inode(ref uint64) (Node, error) {
	le := binary.LittleEndian
	m := &metaReader{of: f, at: f.super.inodeTable + ref>>16}
	head, err := m.from(ref&0xffff%metaSize, 16)
	if err != nil {
		return Node{}, err
	}
	n := Node{Mode: fs.FileMode(le.Uint16(head[2:]) & 0o777), fragment: noFragment}
	// How long the fixed part is, by type.
	size := map[uint16]int{typeDir: 16, typeFile: 16, typeDir + extended: 24, typeFile + extended: 40}[le.Uint16(head)]
	if size == 0 { // a link, or what no file is
		n.Mode |= fs.ModeIrregular
		return n, nil
	}
	b, err := m.next(size)
	if err != nil {
		return n, err
	}
	switch le.Uint16(head) {
	case typeDir:
		n.Mode |= fs.ModeDir
		n.listed = listing{block: le.Uint32(b), size: uint32(le.Uint16(b[8:])), offset: le.Uint16(b[10:])}
		return n, nil
	case typeDir + extended:
		n.Mode |= fs.ModeDir
		n.listed = listing{block: le.Uint32(b[8:]), size: le.Uint32(b[4:]), offset: le.Uint16(b[18:])}
		return n, nil
	case typeFile:
		n.start, n.fragment, n.offset, n.Size = uint64(le.Uint32(b)), le.Uint32(b[4:]), le.Uint32(b[8:]), int64(le.Uint32(b[12:]))
	case typeFile + extended:
		n.start, n.Size, n.fragment, n.offset = le.Uint64(b), int64(le.Uint64(b[8:])), le.Uint32(b[28:]), le.Uint32(b[32:])
	}
	return n, n.readBlocks(m, int64(f.super.blockSize))
}

// maxBlocks bounds the list of a file's blocks: more are of no file that is read here.
const maxBlocks = 1 << 20

// readBlocks reads the sizes of a file's blocks.
func (n *Node) readBlocks(m *metaReader, blockSize int64) error {
	if n.Size < 0 || n.Size/blockSize > maxBlocks {
		return fmt.Errorf("a file has %d bytes", n.Size)
	}
	count := n.Size / blockSize
	if n.fragment == noFragment && n.Size%blockSize > 0 {
		count++ // what is left has a block of its own
	}
	b, err := m.next(int(count) * 4)
	for i := 0; err == nil && i < len(b); i += 4 {
		n.blocks = append(n.blocks, binary.LittleEndian.Uint32(b[i:]))
	}
	return err
}

// child is what the entry of a folder points to.
func (f *Reader) child(dir Node, name string) (ref uint64, err error) {
	if !dir.Mode.IsDir() {
		return 0, fs.ErrNotExist
	}
	le := binary.LittleEndian
	m := &metaReader{of: f, at: f.super.listingTable + uint64(dir.listed.block)}
	if _, err := m.next(int(dir.listed.offset) % metaSize); err != nil {
		return 0, err
	}
	// The entries . and .. are counted in, and not there.
	for left := int64(dir.listed.size) - 3; left > 0; {
		head, err := m.next(12)
		if err != nil {
			return 0, err
		}
		left -= 12
		for count := int64(le.Uint32(head)) + 1; count > 0 && left > 0; count-- {
			e, err := m.next(8)
			if err != nil {
				return 0, err
			}
			called, err := m.next(int(le.Uint16(e[6:])) + 1)
			if err != nil {
				return 0, err
			}
			if string(called) == name {
				return uint64(le.Uint32(head[4:]))<<16 | uint64(le.Uint16(e)), nil
			}
			left -= int64(8 + len(called))
		}
	}
	return 0, fs.ErrNotExist
}
