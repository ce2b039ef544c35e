package btrfs

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/imgforge/imgforge/images/sparse"
)

// The new file system: addresses are places on the disk. After what is reserved
// for boot loaders come a chunk for the chunk tree and one for everything else.
const (
	systemAt   = 1 << 20
	systemSize = 4 << 20
	mixedAt    = systemAt + systemSize
	minTotal   = 16 << 20
)

// placed is a file system that is laid out.
type placed struct {
	f          *FS
	generation uint64
	mixedSize  uint64
	next       uint64         // address to give out next
	used       uint64         // bytes given out, of the second chunk
	pieces     []sparse.Piece // data
	extents    []item         // of data
	sums       []item
}

// Content is the file system with what was added, in as many bytes as before.
func (f *FS) Content() (sparse.Content, error) {
	total := u64(f.super[superTotal:]) &^ 4095
	p := &placed{f: f, generation: u64(f.super[superGeneration:]) + 1, mixedSize: (total - mixedAt) &^ 65535, next: mixedAt}
	c, err := p.content(total)
	if err != nil {
		return nil, fmt.Errorf("write btrfs: %w", err)
	}
	return c, nil
}

// take gives out bytes that no superblock lies in.
func (p *placed) take(size uint64) (uint64, error) {
	if p.next < superMirror+superRange && p.next+size > superMirror {
		p.next = superMirror + superRange
	}
	at := p.next
	if at+size > mixedAt+p.mixedSize {
		return 0, fmt.Errorf("it has no room: %d bytes are needed, it has %d", at+size-mixedAt, p.mixedSize)
	}
	p.next += size
	p.used += size
	return at, nil
}

// source names an extent that files share: only parts of one extent at the same
// distance do.
type source struct{ at, inode, base uint64 }

// shared is such an extent in its new place.
type shared struct {
	at    uint64
	count uint32
	size  uint64
	source
}

// files gives every extent its new place. What several files share, each gets.
func (p *placed) files() ([]item, error) {
	items := slices.Clone(p.f.items)
	extents := map[source]*shared{}
	var order []*shared
	for n, i := range items {
		if i.kind != typeExtentData {
			continue
		}
		if len(i.data) < 21 {
			return nil, fmt.Errorf("an extent of file %d is cut short", i.object)
		}
		if i.data[20] == 0 {
			continue // in the tree itself
		}
		if len(i.data) != 53 {
			return nil, fmt.Errorf("an extent of file %d has %d bytes, not 53", i.object, len(i.data))
		}
		from, size := u64(i.data[21:]), u64(i.data[29:])
		if from == 0 {
			continue // a hole
		}
		s := source{from, i.object, i.offset - u64(i.data[37:])}
		e := extents[s]
		if e == nil {
			var err error
			if e, err = p.data(s, i.key, size); err != nil {
				return nil, fmt.Errorf("file %d: %w", i.object, err)
			}
			extents[s] = e
			order = append(order, e)
		}
		e.count++
		items[n].data = bytes.Clone(i.data)
		put64(items[n].data[21:], e.at)
	}
	for _, e := range order {
		ref := words(uint64(e.count), p.generation, blockData)
		ref = append(ref, typeDataRef)
		ref = append(ref, words(treeFS, e.inode, e.base)...)
		ref = append(ref, byte(e.count), byte(e.count>>8), byte(e.count>>16), byte(e.count>>24))
		p.extents = append(p.extents, item{key{e.at, typeExtent, e.size}, ref})
	}
	return items, nil
}

// data gives an extent its place and takes its checksums.
func (p *placed) data(s source, k key, size uint64) (*shared, error) {
	if size == 0 || size%4096 != 0 || size > 128<<20 {
		return nil, fmt.Errorf("an extent has %d bytes", size)
	}
	at, err := p.take(size)
	if err != nil {
		return nil, err
	}
	var c sparse.Content
	if fresh := p.f.added[k]; fresh != nil {
		c = sparse.Bytes(fresh)
	} else {
		place, err := p.f.place(s.at, size)
		if err != nil {
			return nil, err
		}
		if c, err = sparse.Section(p.f.disk, place, int64(size)); err != nil {
			return nil, err
		}
	}
	p.pieces = append(p.pieces, sparse.Piece{At: int64(at), Content: c})
	return &shared{at: at, size: size, source: s}, p.checksums(at, c)
}

// checksums takes one per sector of an extent, several sectors to an item.
func (p *placed) checksums(at uint64, c sparse.Content) error {
	const sectors = 512 // of one item: half a node
	buf := make([]byte, sectors*4096)
	for from := int64(0); from < c.Size(); from += int64(len(buf)) {
		part := buf[:min(int64(len(buf)), c.Size()-from)]
		if n, err := c.ReadAt(part, from); n < len(part) {
			return err
		}
		sums := make([]byte, len(part)/4096*4)
		for i := range len(part) / 4096 {
			put32(sums[4*i:], checksum(part[i*4096:(i+1)*4096]))
		}
		p.sums = append(p.sums, item{key{objectCsum, typeCsum, at + uint64(from)}, sums})
	}
	return nil
}
