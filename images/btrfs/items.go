package btrfs

import (
	"bytes"
)

const deviceID = 1

// device is the only device, with what is in use of it.
func (p *placed) device() []byte {
	b := bytes.Clone(p.f.super[superDevItem : superDevItem+devItemSize])
	put64(b[16:], systemSize+p.mixedSize)
	return b
}

// chunk is a run of addresses on the device.
func (p *placed) chunk(at, size, kind uint64) []byte {
	b := append(words(size, treeExtent, 65536, kind), make([]byte, 16)...)
	put32(b[32:], 65536)
	put32(b[36:], 65536)
	put32(b[40:], 4096)
	b[44], b[46] = 1, 1 // stripes
	b = append(b, words(deviceID, at)...)
	return append(b, p.f.super[superDevItem+66:superDevItem+82]...)
}

func (p *placed) chunkItems() []item {
	return []item{
		{key{1, typeDevItem, deviceID}, p.device()},
		{key{objectFirst, typeChunk, systemAt}, p.chunk(systemAt, systemSize, blockSystem)},
		{key{objectFirst, typeChunk, mixedAt}, p.chunk(mixedAt, p.mixedSize, blockData|blockMetadata)},
	}
}

// devItems say which parts of the device belong to which chunk.
func (p *placed) devItems() []item {
	extent := func(at, size uint64) item {
		return item{key{deviceID, typeDevExtent, at}, append(words(treeChunk, objectFirst, at, size), chunkTreeUUID(p.f.super)...)}
	}
	return []item{extent(systemAt, systemSize), extent(mixedAt, p.mixedSize)}
}

// emptyFolder is the top folder of a tree.
func emptyFolder(generation, number uint64) []item {
	b := make([]byte, inodeSize)
	copy(b, words(generation, generation, 0, 4096))
	put32(b[40:], 1)
	put32(b[52:], 0o40755)
	return []item{{key{number, typeInode, 0}, b}, {key{number, typeInodeRef, number}, append(words(0), 2, 0, '.', '.')}}
}

// rootItems say where the other trees begin; they have the same sizes whatever
// they say.
func (p *placed) rootItems(trees []*tree) []item {
	items := emptyFolder(p.generation, objectRootDir)
	entry := dirEntry(key{treeFS, typeRoot, ^uint64(0)}, 0, 2, "default")
	items = append(items, item{key{objectRootDir, typeDirItem, nameHash("default")}, entry})
	for _, t := range trees {
		if t.owner == treeChunk {
			continue // the superblock says it
		}
		var b []byte
		if t.owner == treeFS {
			b = bytes.Clone(p.f.root)
		} else {
			b = make([]byte, rootSize)
			copy(b, words(1, 0, 3, uint64(p.f.node)))
			put32(b[40:], 1)
			put32(b[52:], 0o40755)
			if t.owner == treeReloc {
				put64(b[168:], objectFirst)
			}
		}
		put64(b[160:], p.generation)
		put64(b[176:], t.root())
		put64(b[192:], uint64(t.count()*p.f.node))
		put32(b[216:], 1)
		b[238] = t.level()
		put64(b[239:], p.generation)
		items = append(items, item{key{t.owner, typeRoot, 0}, b})
	}
	return sorted(items)
}
