package squashfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Reader reads files of an image by their paths, without any program. It follows no
// link, and refuses what it does not know.
type Reader struct {
	r     io.ReaderAt
	super superblock
	unpacker
}

// Node is what an image has under a path.
type Node struct {
	Mode fs.FileMode // type and permission bits
	Size int64       // bytes of a file

	listed   listing // of a folder
	start    uint64  // of a file's first block
	blocks   []uint32
	fragment uint32 // noFragment, or which
	offset   uint32 // in the fragment
}

// Is tells an image by its first bytes.
func Is(r io.ReaderAt) bool {
	b := make([]byte, 4)
	n, _ := r.ReadAt(b, 0)
	return n == len(b) && binary.LittleEndian.Uint32(b) == magic
}

// OpenReader reads the superblock.
func OpenReader(r io.ReaderAt) (*Reader, error) {
	b := make([]byte, superblockSize)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("read squashfs: %w", err)
	}
	le := binary.LittleEndian
	if le.Uint32(b) != magic || le.Uint16(b[28:]) != 4 || le.Uint16(b[30:]) != 0 {
		return nil, errors.New("read squashfs: it is none of version 4.0")
	}
	s := superblock{blockSize: le.Uint32(b[12:]), fragments: le.Uint32(b[16:]), compression: Compression(le.Uint16(b[20:])), root: le.Uint64(b[32:]),
		size: le.Uint64(b[40:]), inodeTable: le.Uint64(b[64:]), listingTable: le.Uint64(b[72:]), fragmentTable: le.Uint64(b[80:])}
	if s.blockSize < 4<<10 || s.blockSize > 1<<20 || s.blockSize&(s.blockSize-1) != 0 || s.inodeTable > s.size || s.listingTable > s.size {
		return nil, errors.New("read squashfs: its superblock is damaged")
	}
	u, err := newUnpacker(s.compression)
	if err != nil {
		return nil, fmt.Errorf("read squashfs: %w", err)
	}
	return &Reader{r: r, super: s, unpacker: u}, nil
}

// Lookup finds a path, relative and clean. An error that is fs.ErrNotExist tells that
// there is none.
func (f *Reader) Lookup(name string) (Node, error) {
	n, err := f.inode(f.super.root)
	for part := range strings.SplitSeq(name, "/") {
		if err != nil {
			break
		}
		var ref uint64
		if ref, err = f.child(n, part); err == nil {
			n, err = f.inode(ref)
		}
	}
	if err != nil {
		return Node{}, fmt.Errorf("read squashfs: /%s: %w", name, err)
	}
	return n, nil
}

// Read is the contents of a file that has at most limit bytes.
func (f *Reader) Read(n Node, limit int64) ([]byte, error) {
	if !n.Mode.IsRegular() || n.Size > limit {
		return nil, fmt.Errorf("read squashfs: it is %v and has %d bytes, where a file of at most %d is read", n.Mode, n.Size, limit)
	}
	out := make([]byte, 0, n.Size)
	at := n.start
	for _, size := range n.blocks {
		plain, err := f.block(at, size, min(int(f.super.blockSize), int(n.Size)-len(out)))
		if err != nil {
			return nil, fmt.Errorf("read squashfs: %w", err)
		}
		out = append(out, plain...)
		at += uint64(size &^ stored)
	}
	if left := n.Size - int64(len(out)); left > 0 {
		tail, err := f.tail(n, left)
		if err != nil {
			return nil, fmt.Errorf("read squashfs: %w", err)
		}
		out = append(out, tail...)
	}
	return out, nil
}

// block reads one block of a file, which has want bytes when it is unpacked; none at
// all is a hole.
func (f *Reader) block(at uint64, size uint32, want int) ([]byte, error) {
	if size == 0 {
		return make([]byte, want), nil
	}
	plain, err := f.piece(at, size&^stored, size&stored != 0, int(f.super.blockSize))
	if err == nil && len(plain) != want {
		err = fmt.Errorf("a block at byte %d has %d bytes, not %d", at, len(plain), want)
	}
	return plain, err
}

// tail is the end of a file, which it shares a block for.
func (f *Reader) tail(n Node, size int64) ([]byte, error) {
	const entry, perBlock = 16, metaSize / 16
	if n.fragment >= f.super.fragments {
		return nil, fmt.Errorf("fragment %d is none of %d", n.fragment, f.super.fragments)
	}
	index, err := f.bytes(f.super.fragmentTable+uint64(n.fragment)/perBlock*8, 8)
	if err != nil {
		return nil, err
	}
	m := &metaReader{of: f, at: binary.LittleEndian.Uint64(index)}
	b, err := m.from(uint64(n.fragment)%perBlock*entry, entry)
	if err != nil {
		return nil, err
	}
	packed := binary.LittleEndian.Uint32(b[8:])
	plain, err := f.piece(binary.LittleEndian.Uint64(b), packed&^stored, packed&stored != 0, int(f.super.blockSize))
	if err != nil {
		return nil, err
	}
	if int64(n.offset)+size > int64(len(plain)) {
		return nil, fmt.Errorf("fragment %d has %d bytes, and a file ends behind them", n.fragment, len(plain))
	}
	return plain[n.offset:][:size], nil
}

// bytes reads size bytes at an offset.
func (f *Reader) bytes(at uint64, size int) ([]byte, error) {
	if at > f.super.size || uint64(size) > f.super.size-at {
		return nil, fmt.Errorf("%d bytes at %d lie outside of the image", size, at)
	}
	b := make([]byte, size)
	if n, err := f.r.ReadAt(b, int64(at)); n < len(b) {
		return nil, err
	}
	return b, nil
}

// piece reads packed bytes and unpacks them, unless they are stored as they are, into
// at most limit.
func (f *Reader) piece(at uint64, size uint32, plain bool, limit int) ([]byte, error) {
	if int(size) > 2*limit {
		return nil, fmt.Errorf("a block at byte %d has %d bytes", at, size)
	}
	b, err := f.bytes(at, int(size))
	if err == nil && !plain {
		b, err = f.unpack(b, limit)
	}
	if err == nil && len(b) > limit {
		err = fmt.Errorf("a block has %d bytes, more than %d", len(b), limit)
	}
	if err != nil {
		return nil, fmt.Errorf("at byte %d: %w", at, err)
	}
	return b, nil
}
