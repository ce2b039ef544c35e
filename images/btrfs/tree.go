package btrfs

import (
	"fmt"
	"slices"

	"github.com/imgforge/imgforge/images/sparse"
)

// tree is one tree in the making: levels of nodes, the leaves first.
type tree struct {
	owner  uint64
	levels [][]node
}

// node is a run of a leaf's items, or of the nodes below.
type node struct {
	at       uint64
	first    key
	items    []item
	children []int
}

// shape cuts sorted items into leaves and builds the levels above them.
func shape(owner uint64, items []item, size int) (*tree, error) {
	t := &tree{owner: owner}
	var leaves []node
	room := 0
	for i, it := range items {
		need := itemSize + len(it.data)
		if need > size-headerSize {
			return nil, fmt.Errorf("an item of %d bytes does not fit into a node", len(it.data))
		}
		if need > room {
			leaves = append(leaves, node{first: it.key})
			room = size - headerSize
		}
		last := &leaves[len(leaves)-1]
		last.items = items[i-len(last.items) : i+1]
		room -= need
	}
	t.levels = [][]node{leaves}
	for perNode := (size - headerSize) / ptrSize; len(t.levels[len(t.levels)-1]) > 1; {
		below := t.levels[len(t.levels)-1]
		var above []node
		for i := range below {
			if i%perNode == 0 {
				above = append(above, node{first: below[i].first})
			}
			last := &above[len(above)-1]
			last.children = append(last.children, i)
		}
		t.levels = append(t.levels, above)
	}
	return t, nil
}

func (t *tree) count() (n int) {
	for _, l := range t.levels {
		n += len(l)
	}
	return n
}

func (t *tree) level() byte  { return byte(len(t.levels) - 1) }
func (t *tree) root() uint64 { return t.levels[len(t.levels)-1][0].at }

// place gives every node an address.
func (t *tree) place(take func() (uint64, error)) (err error) {
	for _, l := range t.levels {
		for i := range l {
			if l[i].at, err = take(); err != nil {
				return err
			}
		}
	}
	return nil
}

// extents are the items that say which nodes are in use.
func (t *tree) extents(generation uint64) []item {
	var all []item
	for level, l := range t.levels {
		for _, n := range l {
			data := append(words(1, generation, 2), typeTreeRef)
			all = append(all, item{key{n.at, typeMetadata, uint64(level)}, append(data, words(t.owner)...)})
		}
	}
	return all
}

// pieces are the nodes as they lie on the disk.
func (t *tree) pieces(f *FS, generation uint64) []sparse.Piece {
	var all []sparse.Piece
	for level, l := range t.levels {
		for _, n := range l {
			b := make([]byte, f.node)
			copy(b[32:], f.super[32:48]) // of the file system
			put64(b[48:], n.at)
			put64(b[56:], 1|1<<56) // written, back references as they are now
			copy(b[64:], chunkTreeUUID(f.super))
			put64(b[80:], generation)
			put64(b[88:], t.owner)
			put32(b[96:], uint32(len(n.items)+len(n.children)))
			b[100] = byte(level)
			end := f.node - headerSize
			for i, it := range n.items {
				end -= len(it.data)
				at := headerSize + i*itemSize
				copy(b[at:], it.bytes())
				put32(b[at+17:], uint32(end))
				put32(b[at+21:], uint32(len(it.data)))
				copy(b[headerSize+end:], it.data)
			}
			for i, c := range n.children {
				child := t.levels[level-1][c]
				at := headerSize + i*ptrSize
				copy(b[at:], child.first.bytes())
				put64(b[at+17:], child.at)
				put64(b[at+25:], generation)
			}
			seal(b)
			all = append(all, sparse.Piece{At: int64(n.at), Content: sparse.Bytes(b)})
		}
	}
	return all
}

func sorted(items []item) []item {
	slices.SortFunc(items, func(a, b item) int { return a.compare(b.key) })
	return items
}
