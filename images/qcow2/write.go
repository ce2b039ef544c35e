package qcow2

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/imgforge/imgforge/images/sparse"
)

// Write writes a disk as an image: clusters that hold something in their order,
// then the tables, then the header. The same disk gives the same bytes. The file
// must be empty.
func Write(w io.WriterAt, disk sparse.Content) error {
	o := &output{w: w, tables: map[int64][]uint64{}, next: 1}
	err := sparse.Runs(disk, cluster, func(at int64, data []byte) error {
		return o.data(at, data)
	})
	if err == nil {
		err = o.finish(disk.Size())
	}
	if err != nil {
		return fmt.Errorf("write qcow2 image: %w", err)
	}
	return nil
}

// output is an image in the making.
type output struct {
	w      io.WriterAt
	tables map[int64][]uint64 // of level 2, by their index
	next   int64              // the cluster to write next
}

const perTable = cluster / 8 // entries of one cluster

// data writes whole clusters; the last of the disk may be short and is padded.
func (o *output) data(at int64, data []byte) error {
	if _, err := o.w.WriteAt(data, o.next*cluster); err != nil {
		return err
	}
	for done := int64(0); done < int64(len(data)); done += cluster {
		index := (at + done) / cluster
		table := o.tables[index/perTable]
		if table == nil {
			table = make([]uint64, perTable)
			o.tables[index/perTable] = table
		}
		table[index%perTable] = uint64(o.next*cluster) | copied
		o.next++
	}
	return nil
}

// finish writes level 2 and level 1 tables, refcounts and the header.
func (o *output) finish(size int64) error {
	l1 := make([]uint64, max((size+perTable*cluster-1)/(perTable*cluster), 1))
	order := make([]int64, 0, len(o.tables))
	for index := range o.tables {
		order = append(order, index)
	}
	slices.Sort(order)
	for _, index := range order {
		l1[index] = uint64(o.next*cluster) | copied
		if err := o.table(o.tables[index]); err != nil {
			return err
		}
	}
	l1At := o.next * cluster
	if err := o.table(l1); err != nil {
		return err
	}
	refAt, refClusters, err := o.refcounts()
	if err != nil {
		return err
	}
	be := binary.BigEndian
	h := make([]byte, cluster)
	copy(h, magic)
	be.PutUint32(h[4:], 3)
	be.PutUint32(h[20:], bits)
	be.PutUint64(h[24:], uint64(size))
	be.PutUint32(h[36:], uint32(len(l1)))
	be.PutUint64(h[40:], uint64(l1At))
	be.PutUint64(h[48:], uint64(refAt))
	be.PutUint32(h[56:], uint32(refClusters))
	be.PutUint32(h[96:], 4) // 2^4 bits per refcount
	be.PutUint32(h[100:], headerBytes)
	_, err = o.w.WriteAt(h, 0)
	return err
}

// table writes entries in clusters of their own.
func (o *output) table(entries []uint64) error {
	raw := make([]byte, (len(entries)*8+cluster-1)/cluster*cluster)
	for i, e := range entries {
		binary.BigEndian.PutUint64(raw[8*i:], e)
	}
	_, err := o.w.WriteAt(raw, o.next*cluster)
	o.next += int64(len(raw) / cluster)
	return err
}

// refcounts says that every cluster is used once, its own clusters included.
func (o *output) refcounts() (at, clusters int64, err error) {
	const perBlock = cluster / 2 // two bytes each
	up := func(n, by int64) int64 { return (n + by - 1) / by }
	blocks, table := int64(0), int64(0)
	for {
		b := up(o.next+blocks+table, perBlock)
		t := up(b*8, cluster)
		if b == blocks && t == table {
			break
		}
		blocks, table = b, t
	}
	used := o.next + blocks + table
	places := make([]uint64, blocks)
	raw := make([]byte, cluster)
	for b := range blocks {
		clear(raw)
		for i := int64(0); i < perBlock && b*perBlock+i < used; i++ {
			binary.BigEndian.PutUint16(raw[2*i:], 1)
		}
		places[b] = uint64(o.next * cluster)
		if _, err := o.w.WriteAt(raw, o.next*cluster); err != nil {
			return 0, 0, err
		}
		o.next++
	}
	at = o.next * cluster
	return at, table, o.table(places)
}
