package btrfs

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/crc32"
)

// Offsets and numbers of the on-disk format (include/uapi/linux/btrfs_tree.h).
const (
	superAt     = 64 << 10 // bytes
	superMirror = 64 << 20
	superSize   = 4096
	superRange  = 64 << 10 // from a superblock on, nothing else may lie
	superMagic  = "_BHRfS_M"

	superGeneration = 72
	superRoot       = 80
	superChunkRoot  = 88
	superLogRoot    = 96
	superTotal      = 112
	superUsed       = 120
	superDevices    = 136
	superSector     = 144
	superNode       = 148
	superChunksLen  = 160
	superChunkGen   = 164
	superCompatRO   = 180
	superIncompat   = 188
	superChecksum   = 196
	superRootLevel  = 198
	superChunkLevel = 199
	superLogLevel   = 200
	superDevItem    = 201
	superLabel      = 299
	superCacheGen   = 555
	superUUIDGen    = 563
	superChunks     = 811
	superBackups    = 2859
	devItemSize     = 98

	headerSize = 101
	itemSize   = 25
	ptrSize    = 33
	maxLevel   = 7

	incompatMixed   = 0x4
	incompatSkinny  = 0x100
	incompatKnown   = 0x1 | incompatMixed | 0x8 | 0x10 | 0x20 | 0x40 | incompatSkinny | 0x200
	compatROKnown   = 0x1 | 0x2 | 0x8 // free space tree, valid, block group tree: all are left out
	compatRODropped = compatROKnown

	blockData, blockSystem, blockMetadata = 1, 2, 4
)

// Trees, and the objects that have numbers of their own.
const (
	treeRoot, treeExtent, treeChunk, treeDev, treeFS = 1, 2, 3, 4, 5
	treeCsum                                         = 7
	treeReloc                                        = ^uint64(8)
	objectRootDir                                    = 6
	objectFirst                                      = 256
	objectCsum                                       = ^uint64(9)
)

// Types of items.
const (
	typeInode      = 1
	typeInodeRef   = 12
	typeInodeExt   = 13
	typeXattr      = 24
	typeDirItem    = 84
	typeDirIndex   = 96
	typeExtentData = 108
	typeCsum       = 128
	typeRoot       = 132
	typeExtent     = 168
	typeMetadata   = 169
	typeTreeRef    = 176
	typeDataRef    = 178
	typeBlockGroup = 192
	typeDevExtent  = 204
	typeDevItem    = 216
	typeChunk      = 228

	inodeSize = 160
	rootSize  = 439
)

// key names an item; trees are sorted by it.
type key struct {
	object uint64
	kind   uint8
	offset uint64
}

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.object, o.object), cmp.Compare(k.kind, o.kind), cmp.Compare(k.offset, o.offset))
}

func (k key) bytes() []byte {
	b := binary.LittleEndian.AppendUint64(nil, k.object)
	return binary.LittleEndian.AppendUint64(append(b, k.kind), k.offset)
}

func parseKey(b []byte) key { return key{u64(b), b[8], u64(b[9:])} }

// item is one entry of a tree.
type item struct {
	key
	data []byte
}

func u64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func u16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }

func put64(b []byte, v uint64) { binary.LittleEndian.PutUint64(b, v) }
func put32(b []byte, v uint32) { binary.LittleEndian.PutUint32(b, v) }

// words are 64-bit numbers one after another.
func words(values ...uint64) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// seal puts the checksum of a superblock or node into its first bytes.
func seal(b []byte) {
	clear(b[:32])
	put32(b, checksum(b[32:]))
}

// nameHash is where a name's directory item stands.
func nameHash(name string) uint64 {
	return uint64(^crc32.Update(1, crc32.MakeTable(crc32.Castagnoli), []byte(name)))
}

// dirEntry is the data of DIR_ITEM and DIR_INDEX.
func dirEntry(to key, generation uint64, kind byte, name string) []byte {
	b := append(to.bytes(), words(generation)...)
	b = append(b, 0, 0, byte(len(name)), byte(len(name)>>8), kind)
	return append(b, name...)
}

// label is the text of a superblock's label field.
func label(super []byte) string {
	raw := super[superLabel : superLabel+256]
	if end := bytes.IndexByte(raw, 0); end >= 0 {
		raw = raw[:end]
	}
	return string(raw)
}
