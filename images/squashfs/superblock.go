package squashfs

import (
	"encoding/binary"
	"io"
	"math/bits"
)

const (
	superblockSize = 96
	magic          = 0x73717368
	none           = 1<<64 - 1 // a table that is not there
	padTo          = 4096

	flagNoXattrs = 1 << 9
)

// superblock is the head of an image: where everything lies.
type superblock struct {
	inodes, time, blockSize, fragments uint32
	compression                        Compression
	flags, ids                         uint16
	root, size                         uint64
	idTable, xattrTable                uint64
	inodeTable, listingTable           uint64
	fragmentTable                      uint64
}

func (s *superblock) bytes() []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, magic)
	for _, v := range [...]uint32{s.inodes, s.time, s.blockSize, s.fragments} {
		b = le.AppendUint32(b, v)
	}
	for _, v := range [...]uint16{uint16(s.compression), uint16(bits.TrailingZeros32(s.blockSize)), s.flags, s.ids, 4, 0} {
		b = le.AppendUint16(b, v)
	}
	// The last one would let NFS export the file system.
	for _, v := range [...]uint64{s.root, s.size, s.idTable, s.xattrTable, s.inodeTable, s.listingTable, s.fragmentTable, none} {
		b = le.AppendUint64(b, v)
	}
	return b
}

// tableWriter writes tables one behind the other and keeps the first error.
type tableWriter struct {
	w   io.Writer
	at  uint64
	err error
}

func (t *tableWriter) write(data []byte) (start uint64) {
	start = t.at
	if t.err == nil {
		_, t.err = t.w.Write(data)
	}
	t.at += uint64(len(data))
	return start
}

// blocks writes what a meta has collected.
func (t *tableWriter) blocks(m *meta) (start uint64) {
	m.flush()
	if t.err == nil {
		t.err = m.err
	}
	return t.write(m.out)
}

// lookup writes data as a table whose index the superblock points to.
func (t *tableWriter) lookup(c *compressor, data []byte) (index uint64) {
	m := &meta{c: c}
	m.add(data)
	start := t.blocks(m)
	return t.write(m.index(start))
}

// writeTables writes all that follows the data, which ends at the offset given.
func writeTables(w io.Writer, end uint64, nodes []*node, fragments []*fragment, o Options) (*superblock, error) {
	c, err := newCompressor(o.Compression, o.Level, o.BlockSize)
	if err != nil {
		return nil, err
	}
	t := &tables{inodes: &meta{c: c}, listings: &meta{c: c}, idOf: map[uint32]uint16{}, all: uint32(len(nodes)),
		attributes: attributes{values: &meta{c: c}, known: map[string]uint32{}}}
	if err := t.add(nodes[0]); err != nil {
		return nil, err
	}
	out := &tableWriter{w: w, at: end}
	s := &superblock{inodes: t.all, time: o.Time, blockSize: uint32(o.BlockSize), fragments: uint32(len(fragments)),
		compression: o.Compression, ids: uint16(len(t.ids)), root: nodes[0].ref}
	s.inodeTable = out.blocks(t.inodes)
	s.listingTable = out.blocks(t.listings)
	s.fragmentTable = out.lookup(c, fragmentTable(fragments))
	s.idTable = out.lookup(c, idTable(t.ids))
	s.xattrTable = none
	if len(t.attributes.ids) == 0 {
		s.flags |= flagNoXattrs
	} else {
		s.xattrTable = out.xattrs(c, t.attributes)
	}
	s.size = out.at
	return s, out.err
}

func fragmentTable(fragments []*fragment) (out []byte) {
	for _, f := range fragments {
		out = binary.LittleEndian.AppendUint64(out, f.start)
		out = binary.LittleEndian.AppendUint32(out, f.size)
		out = binary.LittleEndian.AppendUint32(out, 0)
	}
	return out
}

func idTable(ids []uint32) (out []byte) {
	for _, id := range ids {
		out = binary.LittleEndian.AppendUint32(out, id)
	}
	return out
}

// xattrs writes the attributes, and behind them the head and index that the kernel
// wants at the very end of the image.
func (t *tableWriter) xattrs(c *compressor, a attributes) (head uint64) {
	values := t.blocks(a.values)
	m := &meta{c: c}
	m.add(a.ids)
	ids := t.blocks(m)
	b := binary.LittleEndian.AppendUint64(nil, values)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(a.known)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	head = t.write(b)
	t.write(m.index(ids))
	return head
}
