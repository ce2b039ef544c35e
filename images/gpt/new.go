package gpt

import (
	"encoding/binary"
	"fmt"
)

// bootCode is how many bytes at the beginning of a disk belong to a boot loader.
const bootCode = 440

// New is an empty table with room for 128 partitions on a disk of sectors of 512
// bytes. code, of at most 440 bytes, is what a BIOS runs; it may be empty.
func New(sectors uint64, disk GUID, code []byte) (*Table, error) {
	const sector, entries = 512, 128
	if len(code) > bootCode {
		return nil, fmt.Errorf("boot code of %d bytes does not fit into the first %d of a disk", len(code), bootCode)
	}
	t := &Table{SectorSize: sector, Sectors: sectors, mbr: make([]byte, sector), header: make([]byte, sector), array: make([]byte, entries*entrySize), size: entrySize}
	copy(t.mbr, code)
	// One protective partition over the whole disk; its size is set when it is written.
	copy(t.mbr[mbrTable:], []byte{0, 0, 2, 0, protective, 0xff, 0xff, 0xff, 1, 0, 0, 0})
	copy(t.mbr[510:], []byte{0x55, 0xaa})
	le := binary.LittleEndian
	copy(t.header, "EFI PART")
	le.PutUint32(t.header[8:], 1<<16) // revision 1.0
	le.PutUint32(t.header[12:], headerSize)
	le.PutUint64(t.header[40:], 2+t.arraySectors())
	copy(t.header[56:], disk[:])
	le.PutUint64(t.header[72:], 2)
	le.PutUint32(t.header[80:], entries)
	le.PutUint32(t.header[84:], entrySize)
	return t, t.Resize(sectors)
}
