package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/zstd"

	"github.com/imgforge/imgforge/images/qcow2"
	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/internal/artifact"
)

// Formats in which a disk is written.
const (
	Raw   = "raw"     // with holes
	QCOW2 = "qcow2"   // version 3, not compressed
	Zstd  = "raw.zst" // raw, compressed with zstd
)

// Formats lists them in their order of use.
func Formats() []string { return []string{Raw, QCOW2, Zstd} }

// Write makes path appear as the image of a disk in a format, whole or not at all.
func Write(path string, mode fs.FileMode, format string, c sparse.Content) error {
	return artifact.WriteOpen(path, mode, func(f *os.File) error {
		switch format {
		case Raw:
			return sparse.WriteRaw(f, c)
		case QCOW2:
			return qcow2.Write(f, c)
		case Zstd:
			return WriteZstd(f, c)
		}
		return fmt.Errorf("there is no image format %q: use one of %q", format, Formats())
	})
}

// WriteZstd compresses a disk, holes included. Data and long holes are frames of
// their own, which every decoder joins; the size of a hole costs next to nothing.
// The library's output depends on its version, so that is pinned in go.mod.
func WriteZstd(w io.Writer, c sparse.Content) error {
	z := &packer{w: w}
	var err error
	if z.enc, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(4<<20)); err != nil {
		return err
	}
	if err := sparse.Runs(c, sparse.Block, z.run); err != nil {
		return err
	}
	if err := z.fill(c.Size()); err != nil {
		return err
	}
	return z.flush()
}

// packer turns runs into frames.
type packer struct {
	w    io.Writer
	enc  *zstd.Encoder
	open bool  // a frame of data
	at   int64 // bytes of the disk so far
}

// shortHole is filled with zeros inside a frame of data.
const shortHole = 256 << 10

func (z *packer) run(at int64, data []byte) error {
	if err := z.fill(at); err != nil {
		return err
	}
	if !z.open {
		z.enc.Reset(z.w)
		z.open = true
	}
	z.at += int64(len(data))
	_, err := z.enc.Write(data)
	return err
}

// fill writes the zeros up to a byte.
func (z *packer) fill(to int64) error {
	if z.open && to-z.at <= shortHole {
		_, err := z.enc.Write(make([]byte, to-z.at))
		z.at = to
		return err
	}
	if to == z.at {
		return nil
	}
	if err := z.flush(); err != nil {
		return err
	}
	_, err := z.w.Write(zeroFrame(uint64(to - z.at)))
	z.at = to
	return err
}

func (z *packer) flush() error {
	if !z.open {
		return nil
	}
	z.open = false
	return z.enc.Close()
}

// zeroFrame is a zstd frame of n zeros: blocks of 128 KiB that repeat one byte
// (RFC 8878, 3.1.1).
func zeroFrame(n uint64) []byte {
	const block = 128 << 10
	var b bytes.Buffer
	b.Write([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x38}) // size in 8 bytes, no checksum, a window of 128 KiB
	b.Write(binary.LittleEndian.AppendUint64(nil, n))
	for n > 0 {
		size := min(n, block)
		n -= size
		head := uint32(size)<<3 | 1<<1 // repeated byte
		if n == 0 {
			head |= 1 // last block
		}
		b.Write([]byte{byte(head), byte(head >> 8), byte(head >> 16), 0})
	}
	return b.Bytes()
}
