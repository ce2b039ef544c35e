package ext4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// superAt is the byte of the superblock; the offsets below count from it
// (Documentation/filesystems/ext4/super.rst).
const (
	superAt       = 1024
	superMagic    = 0x38 // 2 bytes, 0xef53
	superState    = 0x3a // 2 bytes, 1 = clean
	superIncompat = 0x60
	superLabel    = 0x78 // 16 bytes

	needsRecovery = 0x4
)

// Label is the file system's label; ok tells whether there is an ext2, ext3 or ext4
// at all.
func Label(r io.ReaderAt) (text string, ok bool) {
	s, ok := super(r)
	if !ok {
		return "", false
	}
	before, _, _ := bytes.Cut(s[superLabel:superLabel+16], []byte{0})
	return string(before), true
}

func super(r io.ReaderAt) ([]byte, bool) {
	s := make([]byte, 1024)
	n, _ := r.ReadAt(s, superAt)
	return s, n == len(s) && binary.LittleEndian.Uint16(s[superMagic:]) == 0xef53
}

// clean refuses a file system that a machine still had to repair.
func clean(r io.ReaderAt) error {
	s, ok := super(r)
	switch {
	case !ok:
		return errors.New("there is no ext4")
	case binary.LittleEndian.Uint16(s[superState:]) != 1, binary.LittleEndian.Uint32(s[superIncompat:])&needsRecovery != 0:
		return errors.New("it was not unmounted cleanly: the image was booted or is damaged, get it again")
	}
	return nil
}
