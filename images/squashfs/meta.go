package squashfs

import "encoding/binary"

// metaSize is how many bytes of metadata are compressed at once.
const metaSize = 8192

const metaStored = 1 << 15 // in a block's header: it is not compressed

// meta collects metadata in compressed blocks: inodes, listings, tables.
type meta struct {
	c    *compressor
	out  []byte
	rest []byte // of the block that is not full yet
	// starts are where blocks begin in out.
	starts  []uint64
	scratch []byte
	err     error
}

// at is where the next byte will lie: in which block, as an offset into the table,
// and where in the block.
func (m *meta) at() (block uint32, offset uint16) { return uint32(len(m.out)), uint16(len(m.rest)) }

func (m *meta) add(data []byte) {
	for len(data) > 0 {
		n := min(len(data), metaSize-len(m.rest))
		m.rest = append(m.rest, data[:n]...)
		data = data[n:]
		if len(m.rest) == metaSize {
			m.flush()
		}
	}
}

// flush ends the last block.
func (m *meta) flush() {
	if len(m.rest) == 0 || m.err != nil {
		return
	}
	m.starts = append(m.starts, uint64(len(m.out)))
	packed, smaller, err := m.c.compress(m.scratch, m.rest)
	if err != nil {
		m.err = err
		return
	}
	m.scratch = packed
	header := uint16(len(packed))
	if !smaller {
		packed, header = m.rest, uint16(len(m.rest))|metaStored
	}
	m.out = binary.LittleEndian.AppendUint16(m.out, header)
	m.out = append(m.out, packed...)
	m.rest = m.rest[:0]
}

// index lists where blocks lie in an image that has the table at start.
func (m *meta) index(start uint64) (out []byte) {
	for _, s := range m.starts {
		out = binary.LittleEndian.AppendUint64(out, start+s)
	}
	return out
}
