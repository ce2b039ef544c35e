package btrfs

import (
	"bytes"
	"slices"

	"github.com/imgforge/imgforge/images/sparse"
)

// chunkTreeUUID identifies the chunk tree; derived, since no one looks for the old one.
func chunkTreeUUID(super []byte) []byte {
	b := bytes.Clone(super[32:48])
	for i := range b {
		b[i] ^= 0xc7
	}
	return b
}

// content makes all trees, in an order in which each knows what it must say.
func (p *placed) content(total uint64) (sparse.Content, error) {
	items, err := p.files()
	if err != nil {
		return nil, err
	}
	size := p.f.node
	chunks, err := shape(treeChunk, p.chunkItems(), size)
	if err != nil {
		return nil, err
	}
	systemNext := uint64(systemAt)
	if err := chunks.place(func() (uint64, error) { systemNext += uint64(size); return systemNext - uint64(size), nil }); err != nil {
		return nil, err
	}
	trees := []*tree{chunks}
	for _, t := range []struct {
		owner uint64
		items []item
	}{{treeFS, items}, {treeDev, p.devItems()}, {treeReloc, emptyFolder(p.generation, objectFirst)}, {treeCsum, sorted(p.sums)}} {
		made, err := shape(t.owner, t.items, size)
		if err != nil {
			return nil, err
		}
		if len(made.levels[0]) == 0 {
			made.levels[0] = []node{{}}
		}
		if err := made.place(p.node); err != nil {
			return nil, err
		}
		trees = append(trees, made)
	}
	roots, err := p.last(&trees)
	if err != nil {
		return nil, err
	}
	for _, t := range trees {
		p.pieces = append(p.pieces, t.pieces(p.f, p.generation)...)
	}
	return p.supers(total, roots, chunks)
}

// node gives out one node.
func (p *placed) node() (uint64, error) { return p.take(uint64(p.f.node)) }

// last makes the tree of extents, which speaks of its own nodes and of those of
// the root tree, and the root tree, which says where all others begin.
func (p *placed) last(trees *[]*tree) (*tree, error) {
	before := *p
	for nodes := 1; ; {
		*p = before
		extent, roots, err := p.attempt(*trees, nodes)
		if err != nil {
			return nil, err
		}
		if extent.count() == nodes {
			*trees = append(*trees, extent, roots)
			return roots, nil
		}
		nodes = extent.count() // more nodes have more to say: it only grows
	}
}

// attempt lays out the last two trees as if that of extents had so many nodes.
func (p *placed) attempt(trees []*tree, nodes int) (extent, roots *tree, err error) {
	addresses := make([]uint64, nodes)
	for i := range addresses {
		if addresses[i], err = p.node(); err != nil {
			return nil, nil, err
		}
	}
	// Sizes do not depend on addresses: the root tree's shape is known before.
	blank := &tree{owner: treeExtent, levels: [][]node{{{}}}}
	if roots, err = shape(treeRoot, p.rootItems(append(slices.Clone(trees), blank)), p.f.node); err != nil {
		return nil, nil, err
	}
	if err := roots.place(p.node); err != nil {
		return nil, nil, err
	}
	items := slices.Clone(p.extents)
	system := uint64(0)
	for _, t := range append(slices.Clone(trees), roots) {
		items = append(items, t.extents(p.generation)...)
		if t.owner == treeChunk {
			system = uint64(t.count() * p.f.node)
		}
	}
	for i, at := range addresses { // levels come when the shape is known
		items = append(items, item{key{at, typeMetadata, uint64(i)}, make([]byte, 33)})
	}
	items = append(items, item{key{systemAt, typeBlockGroup, systemSize}, words(system, objectFirst, blockSystem)},
		item{key{mixedAt, typeBlockGroup, p.mixedSize}, words(p.used, objectFirst, blockData|blockMetadata)})
	if extent, err = shape(treeExtent, sorted(items), p.f.node); err != nil || extent.count() != nodes {
		return extent, nil, err
	}
	i := 0
	if err := extent.place(func() (uint64, error) { i++; return addresses[i-1], nil }); err != nil {
		return nil, nil, err
	}
	p.settle(extent, items)
	filled := p.rootItems(append(slices.Clone(trees), extent))
	for i, it := range filled {
		copy(leafItem(roots, i).data, it.data)
	}
	return extent, roots, nil
}

// settle writes into the tree of extents what it says of its own nodes.
func (p *placed) settle(extent *tree, items []item) {
	for _, own := range extent.extents(p.generation) {
		for i := range items {
			if items[i].object == own.object && items[i].kind == typeMetadata {
				items[i].offset = own.offset
				copy(items[i].data, own.data)
			}
		}
	}
	for level := range extent.levels {
		for i := range extent.levels[level] {
			n := &extent.levels[level][i]
			if level == 0 {
				n.first = n.items[0].key
			} else {
				n.first = extent.levels[level-1][n.children[0]].first
			}
		}
	}
}

// leafItem is the i-th item of a tree.
func leafItem(t *tree, i int) *item {
	for _, l := range t.levels[0] {
		if i < len(l.items) {
			return &l.items[i]
		}
		i -= len(l.items)
	}
	return nil
}

// supers are the superblock and its copy, which say where it all begins.
func (p *placed) supers(total uint64, roots, chunks *tree) (sparse.Content, error) {
	s := bytes.Clone(p.f.super)
	put64(s[superGeneration:], p.generation)
	put64(s[superRoot:], roots.root())
	put64(s[superChunkRoot:], chunks.root())
	put64(s[superLogRoot:], 0)
	put64(s[superUsed:], p.used+uint64(chunks.count()*p.f.node))
	put64(s[superChunkGen:], p.generation)
	put64(s[superCompatRO:], u64(s[superCompatRO:])&^compatRODropped)
	put64(s[superIncompat:], u64(s[superIncompat:])|incompatSkinny)
	s[superRootLevel], s[superChunkLevel], s[superLogLevel] = roots.level(), chunks.level(), 0
	put64(s[superCacheGen:], ^uint64(0)) // there is no cache of free space
	put64(s[superUUIDGen:], 0)
	copy(s[superDevItem:], p.device())
	array := append(key{objectFirst, typeChunk, systemAt}.bytes(), p.chunk(systemAt, systemSize, blockSystem)...)
	clear(s[superChunks:])
	copy(s[superChunks:], array)
	put32(s[superChunksLen:], uint32(len(array)))
	for _, at := range []uint64{superAt, superMirror} {
		if at+superSize > total {
			continue
		}
		b := bytes.Clone(s)
		put64(b[48:], at)
		seal(b)
		p.pieces = append(p.pieces, sparse.Piece{At: int64(at), Content: sparse.Bytes(b)})
	}
	return sparse.Join(p.f.disk.Size(), p.pieces...)
}
