package squashfs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"runtime"
)

// Options are what an image as a whole has. The zero value means zstd, blocks of
// 128 KiB, the year 1970 and up to four workers.
type Options struct {
	Compression Compression
	Level       int // as the format's own programs count it; 0 is their usual one
	BlockSize   int // bytes, a power of two from 4 KiB to 1 MiB
	// Time is when the image was made, and when folders were that no entry names, in
	// seconds since 1970.
	Time uint32
	// Workers compress at the same time; 0 means one per core, and at most four, as each
	// has tables of some 35 MB with zstd. They do not change a byte.
	Workers int
}

func (o Options) orDefaults() (Options, error) {
	if o.Compression == 0 {
		o.Compression = Zstd
	}
	if o.BlockSize == 0 {
		o.BlockSize = 128 << 10
	}
	if o.Workers <= 0 {
		o.Workers = min(runtime.GOMAXPROCS(0), 4)
	}
	if o.BlockSize < 4<<10 || o.BlockSize > 1<<20 || bits.OnesCount(uint(o.BlockSize)) != 1 {
		return o, fmt.Errorf("blocks of %d bytes cannot be: take a power of two from 4096 to 1048576", o.BlockSize)
	}
	return o, nil
}

// Write writes an image and returns its size, which is a whole number of the 4 KiB
// that loop devices read. What w held there before is written over; nothing is kept
// in memory but a few blocks per worker and the metadata.
func Write(w io.WriterAt, entries []Entry, o Options) (size int64, err error) {
	fail := func(err error) (int64, error) { return 0, fmt.Errorf("write squashfs image: %w", err) }
	if o, err = o.orDefaults(); err != nil {
		return fail(err)
	}
	nodes, err := newTree(entries, o.Time)
	if err != nil {
		return fail(err)
	}
	if len(nodes) >= math.MaxUint32 {
		return fail(errors.New("there are more entries than an image can number"))
	}
	out := bufio.NewWriterSize(io.NewOffsetWriter(w, superblockSize), 256<<10)
	pack := packer{}
	end, err := pump(o, out, superblockSize, func(p *pipeline) error {
		pack.p = p
		return pack.files(nodes)
	})
	if err != nil {
		return fail(err)
	}
	s, err := writeTables(out, end, nodes, pack.fragments, o)
	if err != nil {
		return fail(err)
	}
	size = (int64(s.size) + padTo - 1) / padTo * padTo
	if _, err := out.Write(make([]byte, size-int64(s.size))); err != nil {
		return fail(err)
	}
	if err := out.Flush(); err != nil {
		return fail(err)
	}
	if _, err := w.WriteAt(s.bytes(), 0); err != nil {
		return fail(err)
	}
	return size, nil
}
