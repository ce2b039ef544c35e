package sparse

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// Block is the unit in which zeros are looked for, in bytes: that of every file
// system and page cache at hand.
const Block = 4096

const chunk = 1 << 20 // bytes read at once

// Runs calls run for every run of whole blocks of unit bytes that are not all
// zeros, in order. The last block may be short. data is valid during the call.
func Runs(c Content, unit int64, run func(at int64, data []byte) error) error {
	buf := make([]byte, max(chunk, unit)/unit*unit)
	zeros := make([]byte, unit)
	for at := int64(0); at < c.Size(); {
		from, to, err := c.Next(at)
		if err != nil {
			return fmt.Errorf("read at byte %d: %w", at, err)
		}
		from = max(from/unit*unit, at)
		to = min((to+unit-1)/unit*unit, c.Size())
		for at = from; at < to; {
			data := buf[:min(int64(len(buf)), to-at)]
			if n, err := c.ReadAt(data, at); n < len(data) {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return fmt.Errorf("read at byte %d: %w", at, err)
			}
			if err := nonzero(at, data, zeros, run); err != nil {
				return err
			}
			at += int64(len(data))
		}
	}
	return nil
}

// nonzero cuts the blocks of zeros out of data.
func nonzero(at int64, data, zeros []byte, run func(int64, []byte) error) error {
	begin := -1
	for i := 0; i < len(data); i += len(zeros) {
		block := data[i:min(i+len(zeros), len(data))]
		empty := bytes.Equal(block, zeros[:len(block)])
		if !empty && begin < 0 {
			begin = i
		}
		if empty && begin >= 0 {
			if err := run(at+int64(begin), data[begin:i]); err != nil {
				return err
			}
			begin = -1
		}
	}
	if begin < 0 {
		return nil
	}
	return run(at+int64(begin), data[begin:])
}

// WriteRaw writes content into an empty file, with holes where it is zeros.
func WriteRaw(f *os.File, c Content) error {
	if err := f.Truncate(c.Size()); err != nil {
		return err
	}
	return Runs(c, Block, func(at int64, data []byte) error {
		_, err := f.WriteAt(data, at)
		return err
	})
}
