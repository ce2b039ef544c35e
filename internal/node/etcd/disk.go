package etcd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// readDisk tells what etcd's data folder holds. The first records of every segment
// of the write-ahead log name the member and the cluster. The log appears whole, by
// a rename, and holds every vote: without one, etcd has never voted from this disk.
// An error means that the disk did not answer, which says nothing about the data.
func readDisk(dir string) (Disk, error) {
	wal := filepath.Join(dir, "member", "wal")
	entries, err := os.ReadDir(wal)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Disk{}, fmt.Errorf("read etcd's log: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !strings.HasSuffix(e.Name(), ".wal") })
	if len(entries) == 0 {
		return Disk{}, nil
	}
	f, err := os.Open(filepath.Join(wal, entries[0].Name())) // sorted: the oldest
	if err != nil {
		return Disk{}, fmt.Errorf("read etcd's log: %w", err) // purged just now: the next look finds another
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return Disk{}, fmt.Errorf("read etcd's log: %w", err)
	}
	member, cluster, ok := logHead(head[:n])
	if !ok {
		return Disk{Held: Damaged}, nil
	}
	return Disk{Held: Data, Member: member, Cluster: cluster}, nil
}

// remains tells whether there is a database without a log. etcd makes the database
// first, so that a first start which was cut short leaves one behind.
func remains(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "member", "snap", "db"))
	return err == nil
}

// The types of the two records that begin a segment.
const (
	recordMetadata = 1
	recordChecksum = 4
)

// logHead reads the member and the cluster from the beginning of a segment: a
// record that carries the checksum so far, then one with the metadata.
func logHead(b []byte) (member, cluster ID, ok bool) {
	first, rest, ok := nextRecord(b)
	if !ok || first.kind != recordChecksum {
		return 0, 0, false
	}
	second, _, ok := nextRecord(rest)
	if !ok || second.kind != recordMetadata {
		return 0, 0, false
	}
	if crc32.Update(first.sum, crc32.MakeTable(crc32.Castagnoli), second.data) != second.sum {
		return 0, 0, false
	}
	numbers, _, ok := fields(second.data)
	return ID(numbers[1]), ID(numbers[2]), ok && numbers[1] != 0 && numbers[2] != 0
}

type record struct {
	kind uint64
	sum  uint32
	data []byte
}

// nextRecord takes a record off the front: a length in 56 bits, with the padding in
// the low bits of the highest byte, then a protocol buffer.
func nextRecord(b []byte) (r record, rest []byte, ok bool) {
	if len(b) < 8 {
		return record{}, nil, false
	}
	head := binary.LittleEndian.Uint64(b)
	size, pad := head&(1<<56-1), uint64(0)
	if head>>63 == 1 {
		pad = head >> 56 & 7
	}
	b = b[8:]
	if size > uint64(len(b)) || pad > uint64(len(b))-size {
		return record{}, nil, false
	}
	numbers, data, ok := fields(b[:size])
	return record{kind: numbers[1], sum: uint32(numbers[2]), data: data}, b[size+pad:], ok
}

// fields reads the only fields there are in these messages: numbers 1 and 2, and
// bytes 3.
func fields(b []byte) (numbers [3]uint64, data []byte, ok bool) {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return numbers, nil, false
		}
		b = b[n:]
		value, n := binary.Uvarint(b)
		if n <= 0 {
			return numbers, nil, false
		}
		b = b[n:]
		switch {
		case tag == 1<<3 || tag == 2<<3:
			numbers[tag>>3] = value
		case tag == 3<<3|2 && value <= uint64(len(b)):
			data, b = b[:value], b[value:]
		default:
			return numbers, nil, false
		}
	}
	return numbers, data, true
}

// setAside moves etcd's data out of the way within its own disk. It never deletes:
// what is of no use to the cluster may still be of use to a person.
func setAside(dir string) error {
	from := filepath.Join(dir, "member")
	if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for i := 1; ; i++ {
		to := filepath.Join(dir, fmt.Sprintf("member.aside-%d", i))
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			if err := os.Rename(from, to); err != nil {
				return fmt.Errorf("move old data aside: %w", err)
			}
			return syncFolder(dir)
		}
	}
}

// inUse tells whether an etcd that still runs has its database open, which it locks.
func inUse(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "member", "snap", "db"))
	if err != nil {
		return false
	}
	defer f.Close() // and the lock with it
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
