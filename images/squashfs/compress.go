package squashfs

import (
	"bytes"
	"fmt"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Compression is the format of compressed blocks, as the superblock numbers it.
type Compression uint16

// Formats that every kernel of the systems in question reads.
const (
	Gzip Compression = 1
	Zstd Compression = 6
)

// compressor compresses one block after another. It is used by one goroutine.
type compressor struct {
	zstd *zstd.Encoder
	zlib *zlib.Writer
	out  bytes.Buffer
}

// newCompressor takes a level as the format's own programs count it; 0 is the usual one.
func newCompressor(c Compression, level, blockSize int) (*compressor, error) {
	switch c {
	case Zstd:
		if level == 0 {
			level = 15 // mksquashfs's
		}
		// The kernel decodes with a window of one block. A checksum would only cost
		// bytes: nobody looks at it.
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(max(blockSize, metaSize)),
			zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true), zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)))
		return &compressor{zstd: e}, err
	case Gzip:
		if level == 0 {
			level = 9
		}
		z, err := zlib.NewWriterLevel(nil, level)
		return &compressor{zlib: z}, err
	}
	return nil, fmt.Errorf("compression %d is not one that is written: use Zstd or Gzip", c)
}

// compress appends data in compressed form to dst, or tells that it does not get smaller.
func (c *compressor) compress(dst, data []byte) (_ []byte, smaller bool, err error) {
	if c.zstd != nil {
		dst = c.zstd.EncodeAll(data, dst[:0])
		return dst, len(dst) < len(data), nil
	}
	c.out.Reset()
	c.zlib.Reset(&c.out)
	if _, err := c.zlib.Write(data); err != nil {
		return nil, false, err
	}
	if err := c.zlib.Close(); err != nil {
		return nil, false, err
	}
	return append(dst[:0], c.out.Bytes()...), c.out.Len() < len(data), nil
}
