package gpt

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf16"
)

// Sizes and places of the format.
const (
	headerSize = 92  // bytes of a header that revision 1.0 knows
	entrySize  = 128 // bytes of an entry at least
	nameBytes  = 72  // UTF-16, little-endian
	maxEntries = 1024
	mbrTable   = 446 // of sector 0
	protective = 0xee
)

// Entry is one partition.
type Entry struct {
	// Number is its place in the table, from 1: the partition's number for Linux.
	Number      int
	Type, GUID  GUID
	First, Last uint64 // sectors, both included
	// Attributes are the 64 bits that firmware and boot loaders read and write.
	Attributes uint64
	Label      string // of at most 36 UTF-16 units
}

// Table is the partition table of one disk.
type Table struct {
	// SectorSize is 512 or 4096 bytes.
	SectorSize int64
	// Sectors is the size of the disk.
	Sectors uint64

	mbr, header []byte // the first two sectors
	array       []byte // of entries
	size        int    // of one entry
}

func (t *Table) first() uint64 { return binary.LittleEndian.Uint64(t.header[40:]) }
func (t *Table) last() uint64  { return binary.LittleEndian.Uint64(t.header[48:]) }

// Disk is the disk's own GUID.
func (t *Table) Disk() GUID { return GUID(t.header[56:72]) }

// arraySectors is how many sectors the entries take.
func (t *Table) arraySectors() uint64 {
	return (uint64(len(t.array)) + uint64(t.SectorSize) - 1) / uint64(t.SectorSize)
}

func (t *Table) slot(number int) []byte { return t.array[(number-1)*t.size:][:t.size] }

// Entries are the partitions in use, by number.
func (t *Table) Entries() []Entry {
	var all []Entry
	for n := 1; n <= len(t.array)/t.size; n++ {
		if e := decode(t.slot(n), n); e.Type != (GUID{}) {
			all = append(all, e)
		}
	}
	return all
}

// Labelled is the partition with a label, which must be the only one.
func (t *Table) Labelled(label string) (Entry, error) {
	return t.only(fmt.Sprintf("labelled %q", label), func(e Entry) bool { return e.Label == label })
}

// Typed is the partition of one of the types, which must be the only one.
func (t *Table) Typed(types ...GUID) (Entry, error) {
	return t.only(fmt.Sprintf("of type %s", types), func(e Entry) bool { return slices.Contains(types, e.Type) })
}

func (t *Table) only(what string, is func(Entry) bool) (Entry, error) {
	var found []Entry
	for _, e := range t.Entries() {
		if is(e) {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return Entry{}, fmt.Errorf("there is no partition %s; there are %s", what, t.names())
	case 1:
		return found[0], nil
	}
	return Entry{}, fmt.Errorf("partitions %d and %d are both %s: it cannot be told which one is meant", found[0].Number, found[1].Number, what)
}

// names lists the partitions for a message.
func (t *Table) names() string {
	text := ""
	for i, e := range t.Entries() {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d %q", e.Number, e.Label)
	}
	if text == "" {
		return "none at all"
	}
	return text
}

func decode(raw []byte, number int) Entry {
	units := make([]uint16, 0, nameBytes/2)
	for i := 56; i < 56+nameBytes; i += 2 {
		u := binary.LittleEndian.Uint16(raw[i:])
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return Entry{Number: number, Type: GUID(raw[:16]), GUID: GUID(raw[16:32]), First: binary.LittleEndian.Uint64(raw[32:]),
		Last: binary.LittleEndian.Uint64(raw[40:]), Attributes: binary.LittleEndian.Uint64(raw[48:]), Label: string(utf16.Decode(units))}
}

// ByteRange is where a partition lies on the disk.
func (t *Table) ByteRange(e Entry) (at, size int64) {
	return int64(e.First) * t.SectorSize, int64(e.Last-e.First+1) * t.SectorSize
}
