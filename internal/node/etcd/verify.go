package etcd

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// verify reads what etcd reads when it starts, and says what of it cannot be right:
// "" when nothing is. It comes before etcd, which takes a length that leads nowhere
// for a record that a power cut left half written, cuts the log off there, and so
// forgets what it has acknowledged; a majority can then be made of those who never
// had it. A last record that is half written, as a power cut leaves it, is no damage.
// What no checksum of the files guards, such as the values in the database, only etcd
// can judge: it compares them with its peers' when it starts.
func verify(dir string) (damage string, err error) {
	damage, err = verifyLog(filepath.Join(dir, "member", "wal"))
	if err != nil || damage != "" {
		return damage, err
	}
	return verifyDatabase(filepath.Join(dir, "member", "snap", "db"))
}

// verifyLog follows the checksums of the write-ahead log from its first record to its
// last, as decoder.go of go.etcd.io/etcd/server/v3/storage/wal does.
func verifyLog(dir string) (damage string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !strings.HasSuffix(e.Name(), ".wal") })
	var c logChecker
	for i, e := range entries { // sorted: the oldest first
		c.last = i == len(entries)-1
		err := c.segment(filepath.Join(dir, e.Name()))
		if errors.Is(err, errDamage) {
			return fmt.Sprintf("member/wal/%s: %v", e.Name(), err), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

// longestRecord is the size of a whole segment (SegmentSizeBytes of etcd's wal
// package); etcd's largest request is a small part of it.
const longestRecord = 64 << 20

// errDamage is what a file says that is not as etcd wrote it.
var errDamage = errors.New("is damaged")

// logChecker carries the checksum from record to record and from segment to segment.
type logChecker struct {
	sum  uint32
	any  bool // a record was seen, so that the sum counts
	last bool // in the last segment, which may end in the middle of a record
	at   int64
}

// segment reads one file to its end, or to the zeros that were set aside for later.
func (c *logChecker) segment(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	c.at = 0
	r := bufio.NewReaderSize(f, 1<<20)
	for {
		var head [8]byte
		switch _, err := io.ReadFull(r, head[:]); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil // etcd reads on in the next segment
		case err != nil:
			return err
		}
		size, pad := frameSize(binary.LittleEndian.Uint64(head[:]))
		switch rest := info.Size() - c.at - int64(len(head)); {
		case size == 0 && pad == 0:
			return nil
		case size > longestRecord:
			return c.fault("no record is of %d bytes", size)
		case size+pad > uint64(max(rest, 0)) && c.last:
			return nil // half written, where the file grew with it
		case size+pad > uint64(max(rest, 0)):
			return c.fault("a record of %d bytes does not fit", size)
		}
		body := make([]byte, size+pad)
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		if err := c.record(body[:size]); err != nil {
			if c.last && torn(body, c.at+int64(len(head))) {
				return nil
			}
			return err
		}
		c.at += int64(len(head)) + int64(len(body))
	}
}

// record follows the checksum over one record.
func (c *logChecker) record(body []byte) error {
	numbers, data, ok := fields(body)
	switch sum := uint32(numbers[2]); {
	case !ok:
		return c.fault("a record cannot be read")
	case numbers[1] == recordChecksum:
		if c.any && c.sum != 0 && sum != c.sum {
			return c.fault("the segment does not go on where the one before ended")
		}
		c.sum = sum
	default:
		if c.sum = crc32.Update(c.sum, crc32.MakeTable(crc32.Castagnoli), data); c.sum != sum {
			return c.fault("a record does not fit its checksum")
		}
	}
	c.any = true
	return nil
}

func (c *logChecker) fault(format string, args ...any) error {
	return fmt.Errorf("%w at byte %d: %s", errDamage, c.at, fmt.Sprintf(format, args...))
}

// frameSize takes a record's length apart: the padding is in the low bits of the
// highest byte.
func frameSize(head uint64) (size, pad uint64) {
	if head>>63 == 1 {
		pad = head >> 56 & 7
	}
	return head & (1<<56 - 1), pad
}

// sector is what a disk writes at once (minSectorSize of etcd's wal package).
const sector = 512

// torn tells whether a record was being written when the power failed: a whole sector
// of it was never written.
func torn(body []byte, at int64) bool {
	for len(body) > 0 {
		n := min(int64(len(body)), sector-at%sector)
		if !slices.ContainsFunc(body[:n], func(b byte) bool { return b != 0 }) {
			return true
		}
		body, at = body[n:], at+n
	}
	return false
}

// The head of a bbolt database: each of its first two pages says what the database is,
// with a checksum; one of them has to be right (db.go and meta.go of go.etcd.io/bbolt).
const (
	pageHead    = 16
	metaSize    = 64 // the last 8 bytes are the checksum of those before
	metaMagic   = 0xED0CDAED
	metaVersion = 2
)

// verifyDatabase tells whether etcd can open the database at all.
func verifyDatabase(path string) (damage string, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // etcd makes it again from log and snapshot, or says why not
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	// The size of a page is the machine's own; the second head is one page further.
	head := make([]byte, 64<<10+pageHead+metaSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	head = head[:n]
	for at := 0; at <= len(head)-pageHead-metaSize; at = max(2*at, 1<<10) {
		if metaIsWell(head[at+pageHead:][:metaSize]) {
			return "", nil
		}
	}
	return "member/snap/db is damaged: neither of its first two pages is that of a database", nil
}

func metaIsWell(meta []byte) bool {
	h := fnv.New64a()
	h.Write(meta[:metaSize-8])
	little := binary.LittleEndian
	return bytes.Equal(meta[:8], little.AppendUint32(little.AppendUint32(nil, metaMagic), metaVersion)) && h.Sum64() == little.Uint64(meta[metaSize-8:])
}
