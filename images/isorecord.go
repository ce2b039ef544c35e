package images

import (
	"encoding/binary"
	"strings"
)

const sector = 2048

// Both byte orders, one after the other, as most numbers of ISO 9660 are stored.
func both16(b []byte, n uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.LittleEndian.AppendUint16(b, n), n)
}

func both32(b []byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, n), n)
}

// recordDate is 1 January 1980, 00:00 UTC, in the seven bytes of a directory
// record; volumeDate is the same in the seventeen of a volume descriptor. No
// reader of ours looks at them, and a fixed one keeps images reproducible.
const (
	recordDate = "\x50\x01\x01\x00\x00\x00\x00"
	volumeDate = "1980010100000000\x00"
	noDate     = "0000000000000000\x00"
)

// record is a directory record (ECMA-119, 9.1): where n lies, under the name id,
// followed by the system use fields of Rock Ridge.
func record(n *isoNode, id string, systemUse []byte) []byte {
	b := make([]byte, 2, 256)
	b = both32(b, n.lba)
	b = both32(b, n.size)
	b = append(b, recordDate...)
	flags := byte(0)
	if n.isDir() {
		flags = 2
	}
	b = append(b, flags, 0, 0)
	b = both16(b, 1)
	b = append(b, byte(len(id)))
	b = append(b, id...)
	if len(id)%2 == 0 {
		b = append(b, 0)
	}
	b = append(b, systemUse...)
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	b[0] = byte(len(b))
	return b
}

// maxRecord is the longest directory record: its length is one byte, and even.
const maxRecord = 254

// attributes are the POSIX fields of Rock Ridge (PX and TF, IEEE P1282 4.1.1 and
// 4.1.6): everything belongs to root.
func attributes(n *isoNode) []byte {
	b := []byte{'P', 'X', 36, 1}
	b = both32(b, n.mode())
	b = both32(b, n.links())
	b = both32(b, 0)
	b = both32(b, 0)
	const modify, access, change = 2, 4, 8
	b = append(b, 'T', 'F', 26, 1, modify|access|change)
	return append(b, strings.Repeat(recordDate, 3)...)
}

// alternateName is the real name (NM), in as many fields as it needs.
func alternateName(name string) []byte {
	const room, goesOn = 250, 1
	var b []byte
	for len(name) > room {
		b = append(append(b, 'N', 'M', 5+room, 1, goesOn), name[:room]...)
		name = name[room:]
	}
	return append(append(b, 'N', 'M', byte(5+len(name)), 1, 0), name...)
}

// continuation points to n.more (CE, SUSP 5.1).
func continuation(n *isoNode) []byte {
	b := []byte{'C', 'E', 28, 1}
	b = both32(b, n.moreLBA)
	b = both32(b, n.moreOffset)
	return both32(b, uint32(len(n.more)))
}

// rockRidge announces the extension (ER, SUSP 5.5), in the root's own entry.
func rockRidge() []byte {
	const (
		id          = "RRIP_1991A"
		description = "THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS"
		source      = "PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION."
	)
	b := []byte{'E', 'R', 8 + byte(len(id)+len(description)+len(source)), 1, byte(len(id)), byte(len(description)), byte(len(source)), 1}
	return append(b, id+description+source...)
}

// entry is the record of n in its directory.
func entry(n *isoNode) []byte {
	use := attributes(n)
	if len(n.more) > 0 {
		use = append(use, continuation(n)...)
	} else {
		use = append(use, alternateName(n.name)...)
	}
	return record(n, n.id, use)
}

// needsMore tells whether n's name has to go to the continuation area.
func needsMore(n *isoNode) bool {
	return len(record(n, n.id, append(attributes(n), alternateName(n.name)...))) > maxRecord || len(n.name) > maxRecord
}

// selfEntries are the first two records of a directory: itself and its parent.
func selfEntries(n *isoNode) [][]byte {
	var use []byte
	if n.parent == n {
		use = []byte{'S', 'P', 7, 1, 0xbe, 0xef, 0}
	}
	use = append(use, attributes(n)...)
	if n.parent == n {
		use = append(use, continuation(n)...)
	}
	return [][]byte{record(n, "\x00", use), record(n.parent, "\x01", attributes(n.parent))}
}

// listing is the extent of a directory: records, none across two sectors.
func listing(n *isoNode) []byte {
	records := selfEntries(n)
	for _, c := range n.children {
		records = append(records, entry(c))
	}
	var b []byte
	for _, r := range records {
		if room := sector - len(b)%sector; len(r) > room {
			b = append(b, make([]byte, room)...)
		}
		b = append(b, r...)
	}
	return b
}

// pathTable lists all directories (ECMA-119, 9.4) in one byte order.
func pathTable(dirs []*isoNode, order binary.AppendByteOrder) []byte {
	var b []byte
	for _, d := range dirs {
		id := d.id
		if d.parent == d {
			id = "\x00"
		}
		b = append(b, byte(len(id)), 0)
		b = order.AppendUint32(b, d.lba)
		b = order.AppendUint16(b, d.parent.number)
		b = append(b, id...)
		if len(id)%2 == 1 {
			b = append(b, 0)
		}
	}
	return b
}

// volumeDescriptor is the primary volume descriptor (ECMA-119, 8.4).
func volumeDescriptor(l *layout) []byte {
	b := append([]byte{1}, "CD001\x01\x00"...)
	text := func(s string, width int) { b = append(b, s+strings.Repeat(" ", width-len(s))...) }
	text("", 32)
	text(l.label, 32)
	b = append(b, make([]byte, 8)...)
	b = both32(b, l.sectors)
	b = append(b, make([]byte, 32)...)
	b = both16(b, 1)
	b = both16(b, 1)
	b = both16(b, sector)
	b = both32(b, uint32(len(l.tableL)))
	b = binary.LittleEndian.AppendUint32(b, l.lbaL)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, l.lbaM)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = append(b, record(l.dirs[0], "\x00", nil)...)
	text("", 128)
	text("", 128)
	text("", 128)
	text("IMGFORGE", 128)
	text("", 37)
	text("", 37)
	text("", 37)
	b = append(b, volumeDate+volumeDate+noDate+volumeDate...)
	b = append(b, 1, 0)
	return b
}

func terminator() []byte { return append([]byte{255}, "CD001\x01"...) }
