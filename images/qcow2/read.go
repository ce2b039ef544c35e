package qcow2

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Image is an open image. It is read by one goroutine at a time.
type Image struct {
	r    io.ReaderAt
	file int64 // bytes of the file
	h    header
	l1   []uint64

	table   []uint64 // the level 2 table read last
	tableAt int64
	packed  []byte // the compressed cluster read last
	entry   uint64
}

// Open reads the header and the first table of an image in a file of size bytes.
func Open(r io.ReaderAt, size int64) (*Image, error) {
	head := make([]byte, 112)
	if n, err := r.ReadAt(head, 0); n < headerBytes {
		return nil, fmt.Errorf("read qcow2 image: %w", err)
	}
	h, err := parseHeader(head)
	if err != nil {
		return nil, fmt.Errorf("read qcow2 image: %w", err)
	}
	m := &Image{r: r, file: size, h: h}
	if m.l1, err = m.entries(h.l1At, int64(h.l1Entries)); err != nil {
		return nil, fmt.Errorf("read qcow2 image: its first table: %w", err)
	}
	return m, nil
}

// Size is that of the disk.
func (m *Image) Size() int64 { return m.h.size }

// entries reads a table; one outside of the file is an error, not memory.
func (m *Image) entries(at, count int64) ([]uint64, error) {
	if at < 0 || at > m.file || count*8 > m.file-at {
		return nil, fmt.Errorf("%d entries at byte %d are outside of the file's %d bytes: it is cut short or damaged, get it again", count, at, m.file)
	}
	raw := make([]byte, count*8)
	if n, err := m.r.ReadAt(raw, at); n < len(raw) {
		return nil, err
	}
	out := make([]uint64, count)
	for i := range out {
		out[i] = binary.BigEndian.Uint64(raw[8*i:])
	}
	return out, nil
}

// lookup is the entry of the cluster that holds a byte of the disk; 0 where there
// is no table. span is how far the answer reaches.
func (m *Image) lookup(at int64) (entry uint64, span int64, err error) {
	perTable := int64(1) << (m.h.clusterBits - 3)
	index := at >> m.h.clusterBits
	place := int64(m.l1[index/perTable] & placeMask)
	if place == 0 {
		return 0, perTable << m.h.clusterBits, nil
	}
	if m.table == nil || place != m.tableAt {
		if m.table, err = m.entries(place, perTable); err != nil {
			return 0, 0, fmt.Errorf("table of byte %d: %w", at, err)
		}
		m.tableAt = place
	}
	entry = m.table[index%perTable]
	if entry&compressed == 0 && (entry&allZeros != 0 || entry&placeMask == 0) {
		entry = 0
	}
	return entry, 1 << m.h.clusterBits, nil
}

// Next is the next run of clusters that hold something.
func (m *Image) Next(offset int64) (from, to int64, err error) {
	at := offset
	for begin := int64(-1); ; {
		if at >= m.h.size {
			if begin < 0 {
				return m.h.size, m.h.size, nil
			}
			return max(begin, offset), m.h.size, nil
		}
		entry, span, err := m.lookup(at)
		if err != nil {
			return 0, 0, err
		}
		if entry != 0 && begin < 0 {
			begin = at
		}
		// A run is cut after a while: its end is looked for once.
		if begin >= 0 && (entry == 0 || at-begin > 64<<20) {
			return begin, at, nil
		}
		at = at/span*span + span
	}
}

// ReadAt reads of the disk.
func (m *Image) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at >= m.h.size {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), m.h.size-at))
	for n := 0; n < want; {
		size := int64(1) << m.h.clusterBits
		within := (at + int64(n)) % size
		part := p[n:min(want, n+int(size-within))]
		if err := m.readCluster(part, at+int64(n), within); err != nil {
			return n, err
		}
		n += len(part)
	}
	if want < len(p) {
		return want, io.EOF
	}
	return want, nil
}

func (m *Image) readCluster(p []byte, at, within int64) error {
	entry, _, err := m.lookup(at)
	switch {
	case err != nil:
		return err
	case entry == 0:
		clear(p)
		return nil
	case entry&compressed != 0:
		if err := m.unpack(entry); err != nil {
			return fmt.Errorf("cluster of byte %d: %w", at, err)
		}
		copy(p, m.packed[within:])
		return nil
	}
	place := int64(entry&placeMask) + within
	if n, err := m.r.ReadAt(p, place); n < len(p) {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is outside of the file: the image is cut short, get it again")
		}
		return fmt.Errorf("cluster of byte %d: %w", at, err)
	}
	return nil
}

// unpack decompresses one cluster and keeps it for the next read.
func (m *Image) unpack(entry uint64) error {
	if m.packed != nil && m.entry == entry {
		return nil
	}
	// The place has 62-(clusterBits-8) bits, the number of further sectors the rest.
	split := 62 - (m.h.clusterBits - 8)
	place := int64(entry & (1<<split - 1))
	sectors := int64(entry&(compressed-1)>>split) + 1
	length := min(sectors*512-place%512, m.file-place)
	if length <= 0 {
		return errors.New("it is outside of the file: the image is cut short, get it again")
	}
	raw := make([]byte, length)
	if n, err := m.r.ReadAt(raw, place); n < len(raw) {
		return err
	}
	out := make([]byte, 1<<m.h.clusterBits)
	if _, err := io.ReadFull(flate.NewReader(bytes.NewReader(raw)), out); err != nil {
		return fmt.Errorf("decompress it: %w: the image is damaged, get it again", err)
	}
	m.packed, m.entry = out, entry
	return nil
}
