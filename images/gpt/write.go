package gpt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"unicode/utf16"
)

// Resize gives the disk another number of sectors. Partitions stay where they are.
func (t *Table) Resize(sectors uint64) error {
	tail := t.arraySectors() + 1
	if sectors <= t.first()+tail {
		return fmt.Errorf("a disk of %d sectors has no room for its partition table", sectors)
	}
	last := sectors - tail - 1
	for _, e := range t.Entries() {
		if e.Last > last {
			return fmt.Errorf("partition %d %q ends at sector %d, beyond the last usable sector %d of the new size", e.Number, e.Label, e.Last, last)
		}
	}
	t.Sectors = sectors
	binary.LittleEndian.PutUint64(t.header[48:], last)
	return nil
}

// Set moves or changes the partition with e's number, or adds one there. Bytes of
// the entry that no field stands for are kept.
func (t *Table) Set(e Entry) error {
	if e.Number < 1 || e.Number > len(t.array)/t.size {
		return fmt.Errorf("there is no partition number %d: the table has room for %d", e.Number, len(t.array)/t.size)
	}
	name := utf16.Encode([]rune(e.Label))
	if len(name) > nameBytes/2 {
		return fmt.Errorf("the label %q is longer than %d characters", e.Label, nameBytes/2)
	}
	before := bytes.Clone(t.slot(e.Number))
	raw := t.slot(e.Number)
	le := binary.LittleEndian
	copy(raw, e.Type[:])
	copy(raw[16:], e.GUID[:])
	le.PutUint64(raw[32:], e.First)
	le.PutUint64(raw[40:], e.Last)
	le.PutUint64(raw[48:], e.Attributes)
	if decode(before, e.Number).Label != e.Label {
		clear(raw[56 : 56+nameBytes])
		for i, u := range name {
			le.PutUint16(raw[56+2*i:], u)
		}
	}
	if err := t.checkEntries(); err != nil {
		copy(raw, before)
		return err
	}
	return nil
}

// Free is the number after the highest one in use, so that numbers which a
// distribution leaves out stay so.
func (t *Table) Free() (int, error) {
	highest := 0
	for _, e := range t.Entries() {
		highest = max(highest, e.Number)
	}
	if highest == len(t.array)/t.size {
		return 0, errors.New("the partition table has no number left")
	}
	return highest + 1, nil
}

// Front is what stands from the first sector of the disk on: boot code, the
// protective partition, the header. The entries follow at the offset that the
// header says, usually at once: see [Table.Array].
func (t *Table) Front() []byte {
	mbr := bytes.Clone(t.mbr)
	size := min(t.Sectors-1, math.MaxUint32)
	binary.LittleEndian.PutUint32(mbr[mbrTable+12:], uint32(size))
	return append(mbr, t.sealed(1, t.Sectors-1, binary.LittleEndian.Uint64(t.header[72:]))...)
}

// Array is the first copy of the entries, and the byte at which it stands.
func (t *Table) Array() (data []byte, at int64) {
	return bytes.Clone(t.array), int64(binary.LittleEndian.Uint64(t.header[72:])) * t.SectorSize
}

// Back is the second copy, which ends the disk, and the byte at which it begins.
func (t *Table) Back() (data []byte, at int64) {
	start := t.Sectors - 1 - t.arraySectors()
	data = make([]byte, int64(t.arraySectors()+1)*t.SectorSize)
	copy(data, t.array)
	copy(data[int64(t.arraySectors())*t.SectorSize:], t.sealed(t.Sectors-1, 1, start))
	return data, int64(start) * t.SectorSize
}

// sealed is a header for one place, with its checksums.
func (t *Table) sealed(my, other, entries uint64) []byte {
	le := binary.LittleEndian
	h := bytes.Clone(t.header)
	le.PutUint64(h[24:], my)
	le.PutUint64(h[32:], other)
	le.PutUint64(h[72:], entries)
	le.PutUint32(h[88:], crc32.ChecksumIEEE(t.array))
	le.PutUint32(h[16:], headerCRC(h[:le.Uint32(h[12:])]))
	return h
}
