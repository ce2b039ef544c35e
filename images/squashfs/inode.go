package squashfs

import (
	"encoding/binary"
	"fmt"
	"math"
)

// tables are what stands behind the data: inodes, listings and what they point to.
type tables struct {
	inodes, listings *meta
	ids              []uint32
	idOf             map[uint32]uint16
	attributes       attributes
	all              uint32 // how many inodes there are
}

// id is the place of a user or group in the table of both.
func (t *tables) id(id uint32) (uint16, error) {
	if i, ok := t.idOf[id]; ok {
		return i, nil
	}
	if len(t.ids) == math.MaxUint16 {
		return 0, fmt.Errorf("there are more than %d users and groups", math.MaxUint16)
	}
	t.idOf[id] = uint16(len(t.ids))
	t.ids = append(t.ids, id)
	return t.idOf[id], nil
}

// add writes the inodes of a folder and all below it. A folder comes after what it
// holds, since its listing says where that lies.
func (t *tables) add(n *node) error {
	for _, c := range n.children {
		if err := t.add(c); err != nil {
			return err
		}
	}
	var listed listing
	if n.Mode.IsDir() {
		listed = t.list(n)
	}
	block, offset := t.inodes.at()
	n.ref = uint64(block)<<16 | uint64(offset)
	n.xattr = t.attributes.set(n.Xattrs)
	body, long := n.body(listed, t.all)
	kind := n.kind()
	if long {
		kind += extended
	}
	uid, err := t.id(n.UID)
	if err != nil {
		return err
	}
	gid, err := t.id(n.GID)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	head := le.AppendUint16(nil, kind)
	head = le.AppendUint16(head, n.mode())
	head = le.AppendUint16(head, uid)
	head = le.AppendUint16(head, gid)
	head = le.AppendUint32(head, n.ModTime)
	head = le.AppendUint32(head, n.number)
	t.inodes.add(append(head, body...))
	return nil
}

// body is the inode after its head, and whether it is of the extended type.
func (n *node) body(l listing, all uint32) (_ []byte, extended bool) {
	switch n.kind() {
	case typeDir:
		return n.dirBody(l, all)
	case typeSymlink:
		return n.linkBody()
	}
	return n.fileBody()
}

func (n *node) dirBody(l listing, all uint32) ([]byte, bool) {
	le := binary.LittleEndian
	parent := all + 1 // of the root, by convention
	if n.parent != nil {
		parent = n.parent.number
	}
	// Readers count the entries . and .. in, with which listings begin elsewhere.
	size := l.size + 3
	if n.xattr == noXattr && size <= math.MaxUint16 {
		b := le.AppendUint32(nil, l.block)
		b = le.AppendUint32(b, n.links())
		b = le.AppendUint16(b, uint16(size))
		b = le.AppendUint16(b, l.offset)
		return le.AppendUint32(b, parent), false
	}
	b := le.AppendUint32(nil, n.links())
	b = le.AppendUint32(b, size)
	b = le.AppendUint32(b, l.block)
	b = le.AppendUint32(b, parent)
	b = le.AppendUint16(b, 0) // no index: readers go through the listing
	b = le.AppendUint16(b, l.offset)
	return le.AppendUint32(b, n.xattr), true
}

func (n *node) linkBody() ([]byte, bool) {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 1) // names
	b = le.AppendUint32(b, uint32(len(n.Target)))
	b = append(b, n.Target...)
	if n.xattr == noXattr {
		return b, false
	}
	return le.AppendUint32(b, n.xattr), true
}

func (n *node) fileBody() (b []byte, extended bool) {
	le := binary.LittleEndian
	if n.xattr == noXattr && n.sparse == 0 && n.start <= math.MaxUint32 && n.Size <= math.MaxUint32 {
		b = le.AppendUint32(b, uint32(n.start))
		b = le.AppendUint32(b, n.fragment)
		b = le.AppendUint32(b, n.offset)
		b = le.AppendUint32(b, uint32(n.Size))
	} else {
		extended = true
		b = le.AppendUint64(b, n.start)
		b = le.AppendUint64(b, uint64(n.Size))
		b = le.AppendUint64(b, n.sparse)
		b = le.AppendUint32(b, 1) // names
		b = le.AppendUint32(b, n.fragment)
		b = le.AppendUint32(b, n.offset)
		b = le.AppendUint32(b, n.xattr)
	}
	for _, size := range n.blocks {
		b = le.AppendUint32(b, size)
	}
	return b, extended
}
