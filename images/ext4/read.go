package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Reader reads a file system that nobody changes meanwhile, without any program. It
// follows no link, and refuses what it does not know.
type Reader struct {
	r         io.ReaderAt
	block     int64  // bytes
	perGroup  uint32 // inodes
	inode     int64  // bytes
	groups    int64  // where the group descriptors begin, in bytes
	groupSize int64
	wide      bool // 64-bit block numbers
	inodes    uint32
}

// Node is an entry of a folder.
type Node struct {
	Name  string
	Inode uint32
	Mode  fs.FileMode // type and permission bits
	Size  int64       // bytes
	raw   []byte
}

// Features without which a file system cannot be read (ext4 disk layout, s_feature_incompat).
const (
	incompatRecover = 0x4
	incompat64bit   = 0x80
	// incompatKnown: filetype, extents, 64bit, flex_bg, ea_inode, csum_seed, largedir, inline_data.
	incompatKnown = 0x2 | 0x40 | incompat64bit | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000
)

// OpenReader reads the superblock.
func OpenReader(r io.ReaderAt) (*Reader, error) {
	b := make([]byte, 1024)
	if n, err := r.ReadAt(b, 1024); n < len(b) {
		return nil, fmt.Errorf("read ext4: %w", err)
	}
	le := binary.LittleEndian
	if le.Uint16(b[0x38:]) != 0xef53 {
		return nil, errors.New("read ext4: it is none")
	}
	incompat := le.Uint32(b[0x60:])
	switch {
	case incompat&incompatRecover != 0:
		return nil, errors.New("read ext4: its journal was not replayed: it was not unmounted")
	case incompat&^uint32(incompatKnown) != 0:
		return nil, fmt.Errorf("read ext4: it has features that are not known here: %#x", incompat&^uint32(incompatKnown))
	case le.Uint32(b[0x18:]) > 6:
		return nil, errors.New("read ext4: its block size is none")
	}
	f := &Reader{r: r, block: 1024 << le.Uint32(b[0x18:]), perGroup: le.Uint32(b[0x28:]), inode: int64(le.Uint16(b[0x58:])), groupSize: 32,
		wide: incompat&incompat64bit != 0, inodes: le.Uint32(b)}
	if f.wide {
		f.groupSize = int64(le.Uint16(b[0xfe:]))
	}
	f.groups = (int64(le.Uint32(b[0x14:])) + 1) * f.block
	if f.perGroup == 0 || f.inode < 128 || f.inode > f.block || f.groupSize < 32 {
		return nil, errors.New("read ext4: its superblock is damaged")
	}
	return f, nil
}

func (f *Reader) at(offset, size int64) ([]byte, error) {
	b := make([]byte, size)
	if n, err := f.r.ReadAt(b, offset); n < len(b) {
		return nil, fmt.Errorf("read ext4 at byte %d: %w", offset, err)
	}
	return b, nil
}

const rootInode = 2

// node reads an inode.
func (f *Reader) node(number uint32, name string) (Node, error) {
	if number == 0 || number > f.inodes {
		return Node{}, fmt.Errorf("read ext4: %s has inode %d of %d", name, number, f.inodes)
	}
	le := binary.LittleEndian
	group, index := int64((number-1)/f.perGroup), int64((number-1)%f.perGroup)
	d, err := f.at(f.groups+group*f.groupSize, f.groupSize)
	if err != nil {
		return Node{}, err
	}
	table := uint64(le.Uint32(d[8:]))
	if f.wide && len(d) >= 64 {
		table |= uint64(le.Uint32(d[0x28:])) << 32
	}
	begin, err := f.place(table)
	if err != nil {
		return Node{}, err
	}
	raw, err := f.at(begin+index*f.inode, f.inode)
	if err != nil {
		return Node{}, err
	}
	n := Node{Name: name, Inode: number, Mode: modeOf(le.Uint16(raw)), Size: int64(le.Uint32(raw[4:])) | int64(le.Uint32(raw[0x6c:]))<<32, raw: raw}
	if n.Size < 0 {
		return Node{}, fmt.Errorf("read ext4: the size of %s is damaged", name)
	}
	return n, nil
}

// modeOf turns the mode of an inode into Go's.
func modeOf(m uint16) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & 0xf000 {
	case 0x8000:
	case 0x4000:
		mode |= fs.ModeDir
	case 0xa000:
		mode |= fs.ModeSymlink
	default:
		mode |= fs.ModeIrregular
	}
	return mode
}

// Lookup finds a path, without following links. The error is [fs.ErrNotExist] when
// there is no such entry.
func (f *Reader) Lookup(p string) (Node, error) {
	n, err := f.node(rootInode, "/")
	for name := range strings.SplitSeq(strings.Trim(path.Clean("/"+p), "/"), "/") {
		if err != nil || name == "" {
			return n, err
		}
		if !n.Mode.IsDir() {
			return n, fmt.Errorf("%s: %w", p, fs.ErrNotExist)
		}
		n, err = f.child(n, name)
	}
	return n, err
}

func (f *Reader) child(dir Node, name string) (Node, error) {
	var number uint32
	err := f.entries(dir, func(n string, inode uint32) {
		if n == name {
			number = inode
		}
	})
	if err == nil && number == 0 {
		err = fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return Node{}, err
	}
	return f.node(number, name)
}

// List is what is in a folder.
func (f *Reader) List(dir Node) ([]Node, error) {
	var out []Node
	var failed error
	err := f.entries(dir, func(name string, inode uint32) {
		n, err := f.node(inode, name)
		if err != nil {
			failed = err
		}
		out = append(out, n)
	})
	return out, errors.Join(err, failed)
}

// entries calls back for each entry but the folder itself and the one above.
func (f *Reader) entries(dir Node, each func(name string, inode uint32)) error {
	const most = 64 << 20
	if dir.Size > most {
		return fmt.Errorf("read ext4: the folder %s has %d bytes", dir.Name, dir.Size)
	}
	data, err := f.Read(dir, most)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	for at := 0; at+8 <= len(data); {
		size, length := int(le.Uint16(data[at+4:])), int(data[at+6])
		if size < 8 || at+size > len(data) || length > size-8 {
			return fmt.Errorf("read ext4: the folder %s is damaged", dir.Name)
		}
		name := string(data[at+8 : at+8+length])
		if inode := le.Uint32(data[at:]); inode != 0 && name != "." && name != ".." && name != "" {
			each(name, inode)
		}
		at += size
	}
	return nil
}
