package qcow2

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Numbers of the format ("QCOW2 Image Format" in QEMU's docs/interop/qcow2.rst).
const (
	magic       = "QFI\xfb"
	headerBytes = 104
	bits        = 16 // of a cluster's size, of images that are written
	cluster     = 1 << bits

	copied     = 1 << 63 // the entry's cluster is referred to once
	compressed = 1 << 62 // of entries of a level 2 table
	allZeros   = 1       // the cluster reads as zeros
	placeMask  = 0x00fffffffffffe00

	incompatDirty   = 1
	incompatCorrupt = 2
	incompatType    = 8 // a compression type stands in the header
)

// header is what a reader needs of the first bytes.
type header struct {
	version, clusterBits uint32
	size                 int64 // of the disk
	l1Entries            uint32
	l1At                 int64
	incompatible         uint64
}

func parseHeader(b []byte) (header, error) {
	be := binary.BigEndian
	if len(b) < headerBytes || string(b[:4]) != magic {
		return header{}, errors.New("it is not a qcow2 image")
	}
	h := header{version: be.Uint32(b[4:]), clusterBits: be.Uint32(b[20:]), size: int64(be.Uint64(b[24:])),
		l1Entries: be.Uint32(b[36:]), l1At: int64(be.Uint64(b[40:]))}
	if h.version == 3 {
		h.incompatible = be.Uint64(b[72:])
	}
	flat := "make a plain copy with `qemu-img convert -O qcow2 IMAGE COPY` and use that"
	switch {
	case h.version != 2 && h.version != 3:
		return h, fmt.Errorf("its version is %d; 2 and 3 are known", h.version)
	case be.Uint64(b[8:]) != 0:
		return h, fmt.Errorf("it is a layer over another file: %s", flat)
	case be.Uint32(b[32:]) != 0:
		return h, errors.New("it is encrypted: make an open copy with `qemu-img convert` and use that")
	case be.Uint32(b[60:]) != 0:
		return h, fmt.Errorf("it holds %d internal snapshots: %s", be.Uint32(b[60:]), flat)
	case h.incompatible&incompatDirty != 0:
		return h, errors.New("it was not closed cleanly: run `qemu-img check -r all` on a copy")
	case h.incompatible&incompatCorrupt != 0:
		return h, errors.New("it is marked as damaged: get it again")
	case h.incompatible&^incompatType != 0:
		return h, fmt.Errorf("it uses features %#x that are not known: %s", h.incompatible, flat)
	case h.incompatible&incompatType != 0 && b[104] != 0:
		return h, fmt.Errorf("its clusters are compressed with another method than zlib: %s", flat)
	case h.clusterBits < 9 || h.clusterBits > 21:
		return h, fmt.Errorf("its clusters have 2^%d bytes; 2^9 to 2^21 are allowed", h.clusterBits)
	case h.size < 0:
		return h, fmt.Errorf("its size %d is negative", h.size)
	}
	return h, h.checkTable()
}

// checkTable wants a level 1 table for the whole disk.
func (h header) checkTable() error {
	perTable := int64(1) << (2*h.clusterBits - 3)
	need := h.size / perTable
	if h.size%perTable != 0 {
		need++
	}
	if int64(h.l1Entries) < need || h.l1Entries > 4<<20 || h.l1At < 0 {
		return fmt.Errorf("its first table has %d entries at byte %d; a disk of %d bytes needs %d", h.l1Entries, h.l1At, h.size, need)
	}
	return nil
}
