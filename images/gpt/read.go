package gpt

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// ErrNone means that there is no GUID partition table at all.
var ErrNone = errors.New("it has no GUID partition table")

// Read reads the table of a disk of size bytes and checks both of its copies.
func Read(r io.ReaderAt, size int64) (*Table, error) {
	t, err := read(r, size)
	if err != nil {
		return nil, fmt.Errorf("read partition table: %w", err)
	}
	return t, nil
}

func read(r io.ReaderAt, size int64) (*Table, error) {
	t, err := primary(r, size)
	if err != nil {
		return nil, err
	}
	if err := t.checkMBR(); err != nil {
		return nil, err
	}
	if err := t.checkBackup(r); err != nil {
		return nil, err
	}
	return t, t.checkEntries()
}

// primary finds the first copy, and with it the size of a sector.
func primary(r io.ReaderAt, size int64) (*Table, error) {
	for _, sector := range [...]int64{512, 4096} {
		if size < 6*sector {
			continue
		}
		head := make([]byte, 2*sector)
		if _, err := r.ReadAt(head, 0); err != nil {
			return nil, err
		}
		t := &Table{SectorSize: sector, Sectors: uint64(size / sector), mbr: head[:sector], header: head[sector:]}
		if string(t.header[:8]) != "EFI PART" {
			continue
		}
		if size%sector != 0 {
			return nil, fmt.Errorf("its %d bytes are not whole sectors of %d bytes: the file is cut short", size, sector)
		}
		array, err := copyAt(r, t, t.header, 1)
		if err != nil {
			return nil, fmt.Errorf("first copy: %w", err)
		}
		t.array, t.size = array, int(binary.LittleEndian.Uint32(t.header[84:]))
		return t, nil
	}
	return nil, fmt.Errorf("%w: it is not the image of a disk, or still packed", ErrNone)
}

// copyAt checks a header that was read at a sector, and returns its entries.
func copyAt(r io.ReaderAt, t *Table, header []byte, at uint64) ([]byte, error) {
	le := binary.LittleEndian
	if string(header[:8]) != "EFI PART" {
		return nil, fmt.Errorf("sector %d does not begin with EFI PART", at)
	}
	if rev := le.Uint32(header[8:]); rev != 0x10000 {
		return nil, fmt.Errorf("its revision is %#x; only 1.0 (0x10000) is known", rev)
	}
	length := le.Uint32(header[12:])
	if length < headerSize || int64(length) > t.SectorSize {
		return nil, fmt.Errorf("its header says it has %d bytes", length)
	}
	if got, want := headerCRC(header[:length]), le.Uint32(header[16:]); got != want {
		return nil, fmt.Errorf("the checksum of its header is %08x, the header says %08x: the image is damaged, get it again", got, want)
	}
	if my := le.Uint64(header[24:]); my != at {
		return nil, fmt.Errorf("it lies at sector %d but says sector %d", at, my)
	}
	count, size, start := le.Uint32(header[80:]), le.Uint32(header[84:]), le.Uint64(header[72:])
	if count == 0 || count > maxEntries || size < entrySize || size > 4096 || size%8 != 0 {
		return nil, fmt.Errorf("it says %d entries of %d bytes each", count, size)
	}
	length64 := uint64(count) * uint64(size)
	if start < 2 || start >= t.Sectors || (t.Sectors-start)*uint64(t.SectorSize) < length64 {
		return nil, fmt.Errorf("its entries at sector %d are outside of the disk's %d sectors: the file is cut short", start, t.Sectors)
	}
	array := make([]byte, length64)
	if _, err := r.ReadAt(array, int64(start)*t.SectorSize); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if got, want := crc32.ChecksumIEEE(array), le.Uint32(header[88:]); got != want {
		return nil, fmt.Errorf("the checksum of its entries is %08x, the header says %08x: the image is damaged, get it again", got, want)
	}
	return array, nil
}

// headerCRC is taken with its own field as zeros.
func headerCRC(header []byte) uint32 {
	h := bytes.Clone(header)
	clear(h[16:20])
	return crc32.ChecksumIEEE(h)
}

// checkMBR wants one protective partition and no other.
func (t *Table) checkMBR() error {
	if t.mbr[510] != 0x55 || t.mbr[511] != 0xaa {
		return errors.New("sector 0 has no boot signature")
	}
	for i := range 4 {
		kind := t.mbr[mbrTable+16*i+4]
		if i == 0 && kind != protective || i > 0 && kind != 0 {
			return fmt.Errorf("partition %d of its old-style table has type %#02x: mixed tables are not known, only one protective partition (0xee)", i+1, kind)
		}
	}
	return nil
}

// checkBackup wants the second copy in the last sector, equal to the first.
func (t *Table) checkBackup(r io.ReaderAt) error {
	le := binary.LittleEndian
	at := le.Uint64(t.header[32:])
	switch {
	case at >= t.Sectors:
		return fmt.Errorf("its second copy should be at sector %d, but the disk has %d sectors: the file is cut short, get it again", at, t.Sectors)
	case at != t.Sectors-1:
		return fmt.Errorf("its second copy is at sector %d, not in the last of %d sectors: the file was grown; run `sgdisk -e IMAGE` on a copy", at, t.Sectors)
	}
	header := make([]byte, t.SectorSize)
	if _, err := r.ReadAt(header, int64(at)*t.SectorSize); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	array, err := copyAt(r, t, header, at)
	if err != nil {
		return fmt.Errorf("second copy: %w", err)
	}
	// From usable sectors to the disk's GUID, and number and size of the entries.
	same := le.Uint64(header[32:]) == 1 && bytes.Equal(header[40:72], t.header[40:72]) && bytes.Equal(header[80:88], t.header[80:88])
	if !same || !bytes.Equal(array, t.array) {
		return errors.New("its two copies differ: it cannot be told which one is right; get the image again, or repair a copy with `gdisk IMAGE`")
	}
	return nil
}

// checkEntries wants every partition on the disk, and none inside another.
func (t *Table) checkEntries() error {
	if t.first() > t.last() || t.last() >= t.Sectors {
		return fmt.Errorf("its usable sectors are %d to %d of %d", t.first(), t.last(), t.Sectors)
	}
	inOrder := t.Entries()
	slices.SortFunc(inOrder, func(a, b Entry) int { return cmp.Compare(a.First, b.First) })
	for i, e := range inOrder {
		if e.First > e.Last || e.First < t.first() || e.Last > t.last() {
			return fmt.Errorf("partition %d %q is at sectors %d to %d, outside of %d to %d", e.Number, e.Label, e.First, e.Last, t.first(), t.last())
		}
		if i > 0 && inOrder[i-1].Last >= e.First {
			return fmt.Errorf("partitions %d and %d overlap at sector %d", inOrder[i-1].Number, e.Number, e.First)
		}
	}
	return nil
}
