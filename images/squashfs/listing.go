package squashfs

import "encoding/binary"

// listing is where the entries of a folder lie in their table.
type listing struct {
	block  uint32
	offset uint16
	size   uint32 // bytes
}

// A run of entries shares one header: as many, and as far apart, as its fields hold.
const (
	maxRun      = 256
	maxDistance = 1<<15 - 1
)

// list writes the entries of a folder, whose inodes are written.
func (t *tables) list(dir *node) listing {
	var l listing
	l.block, l.offset = t.listings.at()
	rest := dir.children
	for len(rest) > 0 {
		run := together(rest)
		data := runOf(rest[:run])
		l.size += uint32(len(data))
		t.listings.add(data)
		rest = rest[run:]
	}
	return l
}

// together is how many of the next entries have their inodes in the same block.
func together(nodes []*node) int {
	first := nodes[0]
	for i, n := range nodes {
		away := int64(n.number) - int64(first.number)
		if i == maxRun || n.ref>>16 != first.ref>>16 || away > maxDistance || away < -maxDistance {
			return i
		}
	}
	return len(nodes)
}

func runOf(nodes []*node) []byte {
	le := binary.LittleEndian
	first := nodes[0]
	b := le.AppendUint32(nil, uint32(len(nodes)-1))
	b = le.AppendUint32(b, uint32(first.ref>>16))
	b = le.AppendUint32(b, first.number)
	for _, n := range nodes {
		name := n.name()
		b = le.AppendUint16(b, uint16(n.ref))
		b = le.AppendUint16(b, uint16(n.number-first.number))
		b = le.AppendUint16(b, n.kind())
		b = le.AppendUint16(b, uint16(len(name)-1))
		b = append(b, name...)
	}
	return b
}
