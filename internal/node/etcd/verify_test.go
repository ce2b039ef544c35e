package etcd

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// walFrame is a record as etcd writes it, with a checksum that goes on from sum.
func walFrame(sum *uint32, data []byte) []byte {
	const entry = 2
	*sum = crc32.Update(*sum, crc32.MakeTable(crc32.Castagnoli), data)
	body := binary.AppendUvarint([]byte{1 << 3, entry, 2 << 3}, uint64(*sum))
	body = append(binary.AppendUvarint(append(body, 3<<3|2), uint64(len(data))), data...)
	pad := (8 - len(body)%8) % 8
	length := uint64(len(body))
	if pad > 0 {
		length |= uint64(0x80|pad) << 56
	}
	return append(append(binary.LittleEndian.AppendUint64(nil, length), body...), make([]byte, pad)...)
}

// walSegments are two segments of a log, the second with room set aside at its end.
func walSegments() (first, second []byte) {
	first = walHead(0, 5, 6)
	metadata := []byte{1 << 3, 5, 2 << 3, 6}
	sum := crc32.Update(0, crc32.MakeTable(crc32.Castagnoli), metadata)
	for range 20 {
		first = append(first, walFrame(&sum, bytes.Repeat([]byte("first"), 60))...)
	}
	second = walHead(sum, 5, 6)
	sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), metadata)
	for range 20 {
		second = append(second, walFrame(&sum, bytes.Repeat([]byte("later"), 400))...)
	}
	return first, append(second, make([]byte, 8192)...)
}

// database is the head of a bbolt file whose pages are this large.
func database(page int) []byte {
	little := binary.LittleEndian
	meta := little.AppendUint32(little.AppendUint32(little.AppendUint32(nil, metaMagic), metaVersion), uint32(page))
	meta = append(meta, make([]byte, metaSize-8-len(meta))...)
	h := fnv.New64a()
	h.Write(meta)
	meta = little.AppendUint64(meta, h.Sum64())
	file := make([]byte, 4*page)
	copy(file[pageHead:], meta)
	copy(file[page+pageHead:], meta)
	return file
}

// Whatever changes in a record that was written whole is damage, and what a power cut
// leaves half written at the end is none.
func TestVerify(t *testing.T) {
	first, second := walSegments()
	end := bytes.LastIndex(second, []byte("later")) + len("later")
	flip := func(data []byte, at int) []byte {
		out := bytes.Clone(data)
		out[at] ^= 1
		return out
	}
	tearOff := bytes.Clone(second)
	clear(tearOff[end-1500:])
	both := database(4096)
	both = flip(flip(both, pageHead+20), 4096+pageHead+20)
	for name, tc := range map[string]struct {
		first, second, db []byte
		want              string
	}{
		"well":                                   {first, second, database(4096), ""},
		"pages of 16 KiB":                        {first, second, database(16 << 10), ""},
		"no database yet":                        {first, second, nil, ""},
		"a flipped bit in an old segment":        {flip(first, 2000), second, nil, "member/wal/0-0.wal: is damaged at byte "},
		"a flipped bit in the last segment":      {first, flip(second, 3000), nil, "member/wal/1-1.wal: is damaged at byte "},
		"a segment of another log":               {first, walHead(7, 5, 6), nil, "does not go on where the one before ended"},
		"a length that leads out of the segment": {append(bytes.Clone(first), 0xff, 0xff, 0xff, 0, 0, 0, 0, 0), second, nil, "does not fit"},
		"a length that cannot be":                {first, flip(second, len(walHead(0, 5, 6))+4), nil, "no record is of "},
		"a last record that the file lacks":      {first, second[:end-100], nil, ""},
		"a torn last record":                     {first, tearOff, nil, ""},
		"one head of the database":               {first, second, flip(database(4096), pageHead+20), ""},
		"both heads of the database":             {first, second, both, "member/snap/db is damaged"},
		"an empty database":                      {first, second, []byte{}, "member/snap/db is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for path, data := range map[string][]byte{"member/wal/0-0.wal": tc.first, "member/wal/1-1.wal": tc.second, "member/snap/db": tc.db} {
				if data == nil {
					continue
				}
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, path), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := verify(dir); err != nil || !strings.Contains(got, tc.want) || tc.want == "" && got != "" {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
		})
	}
	if _, err := verify(t.TempDir()); err == nil {
		t.Error("data that is not there is well")
	}
}
