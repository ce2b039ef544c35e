package squashfs

import (
	"bytes"
	"fmt"
	"io"

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

// unpacker unpacks one block after another.
type unpacker struct {
	zstd *zstd.Decoder
}

func newUnpacker(c Compression) (unpacker, error) {
	switch c {
	case Zstd:
		// A block says how long it is; what says more than any can have is refused.
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(4<<20))
		return unpacker{d}, err
	case Gzip:
		return unpacker{}, nil
	}
	return unpacker{}, fmt.Errorf("compression %d is not one that is read: zstd and gzip are", c)
}

// unpack reads at most one byte more than limit.
func (u unpacker) unpack(data []byte, limit int) ([]byte, error) {
	if u.zstd != nil {
		return u.zstd.DecodeAll(data, nil)
	}
	z, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(z, int64(limit)+1))
}
