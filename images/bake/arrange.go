package bake

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/imgforge/imgforge/images"
	"github.com/imgforge/imgforge/images/gpt"
	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/internal/artifact"
)

// align is what new partitions begin and end at, relative to where root began.
const align = 2 << 20

// addition is a new partition.
type addition struct {
	label string
	sparse.Content
}

// made is the new disk. What is new goes in front of the root partition, which
// moves up: so root stays the last, and every distribution's own growing of it on
// first boot works as before. No file system knows where its partition begins.
func (b *baking) made(ctx context.Context, r *Report) (sparse.Content, error) {
	root, err := b.root.find(b.table)
	if err != nil {
		return nil, err
	}
	for _, e := range b.table.Entries() {
		if e.First > root.First {
			return nil, fmt.Errorf("partition %d %q lies behind the root partition %d %q, which therefore could not grow", e.Number, e.Label, root.Number, root.Label)
		}
	}
	edited, err := b.edit(ctx)
	if err != nil {
		return nil, err
	}
	added, err := b.additions()
	if err != nil {
		return nil, err
	}
	at, size := b.table.ByteRange(root)
	content, err := b.section(root)
	if err != nil {
		return nil, err
	}
	pieces := b.front(at, edited)
	next := at
	for _, a := range added {
		pieces = append(pieces, sparse.Piece{At: next, Content: a.Content})
		next += (a.Size() + align - 1) / align * align
	}
	pieces = append(pieces, sparse.Piece{At: next, Content: content})
	r.RootBefore, r.RootAfter = at, next
	// The sectors behind root stay as many as they were, unless another size is asked for.
	r.Size = b.base.Size() + next - at
	if b.Size > 0 {
		if b.Size < r.Size || b.Size%b.table.SectorSize != 0 {
			return nil, fmt.Errorf("the size of the disk must be a multiple of %d and at least %d bytes, not %d", b.table.SectorSize, r.Size, b.Size)
		}
		r.Size = b.Size
	}
	if err := b.enter(root, next, size, at, added, r.Size); err != nil {
		return nil, err
	}
	array, arrayAt := b.table.Array()
	back, backAt := b.table.Back()
	pieces = append(pieces, sparse.Piece{At: 0, Content: sparse.Bytes(b.table.Front())},
		sparse.Piece{At: arrayAt, Content: sparse.Bytes(array)}, sparse.Piece{At: backAt, Content: sparse.Bytes(back)})
	return sparse.Join(r.Size, pieces...)
}

// enter writes the new places into the partition table.
func (b *baking) enter(root gpt.Entry, rootAt, rootSize, at int64, added []addition, size int64) error {
	sector := b.table.SectorSize
	if err := b.table.Resize(uint64(size / sector)); err != nil {
		return err
	}
	root.First, root.Last = uint64(rootAt/sector), uint64((rootAt+rootSize)/sector)-1
	if err := b.table.Set(root); err != nil {
		return err
	}
	linux, err := gpt.ParseGUID(typeLinux)
	if err != nil {
		return err
	}
	for _, a := range added {
		number, err := b.table.Free()
		if err != nil {
			return err
		}
		end := at + (a.Size()+align-1)/align*align
		e := gpt.Entry{Number: number, Type: linux, GUID: gpt.DerivedGUID("imgforge partition", b.table.Disk().String(), a.label),
			First: uint64(at / sector), Last: uint64(end/sector) - 1, Label: a.label}
		if err := b.table.Set(e); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// front is all before the root partition: the base, with edited partitions in
// their places, and without the partition table.
func (b *baking) front(end int64, edited map[int]sparse.Content) []sparse.Piece {
	var pieces []sparse.Piece
	array, arrayAt := b.table.Array()
	holes := []span{{0, 2 * b.table.SectorSize}, {arrayAt, arrayAt + int64(len(array))}}
	for _, e := range b.table.Entries() {
		if c := edited[e.Number]; c != nil {
			at, size := b.table.ByteRange(e)
			pieces = append(pieces, sparse.Piece{At: at, Content: c})
			holes = append(holes, span{at, at + size})
		}
	}
	for _, s := range without(span{0, end}, holes) {
		if c, err := sparse.Section(b.base, s.from, s.to-s.from); err == nil {
			pieces = append(pieces, sparse.Piece{At: s.from, Content: c})
		}
	}
	return pieces
}

// span is a run of bytes.
type span struct{ from, to int64 }

// without is a span with holes cut out.
func without(s span, holes []span) []span {
	left := []span{s}
	for _, h := range holes {
		var next []span
		for _, s := range left {
			if h.to <= s.from || h.from >= s.to {
				next = append(next, s)
				continue
			}
			if s.from < h.from {
				next = append(next, span{s.from, h.from})
			}
			if h.to < s.to {
				next = append(next, span{h.to, s.to})
			}
		}
		left = next
	}
	return left
}

// additions are the partitions that are new.
func (b *baking) additions() ([]addition, error) {
	var added []addition
	if b.drive != "" {
		files, err := b.seed()
		if err != nil {
			return nil, err
		}
		a, err := b.iso(b.drive, files)
		if err != nil {
			return nil, err
		}
		added = append(added, a)
	}
	if len(b.Files) > 0 {
		a, err := b.iso(PayloadLabel, b.Files)
		if err != nil {
			return nil, err
		}
		added = append(added, a)
	}
	return added, nil
}

// iso is a partition with files, made while it is copied.
func (b *baking) iso(label string, files []images.Source) (addition, error) {
	size, err := images.ISOSize(label, files)
	if err != nil {
		return addition{}, err
	}
	s := sparse.NewStream(size, func(w io.Writer) error { return images.WriteISOFrom(w, label, files) })
	b.close = append(b.close, s)
	return addition{label, s}, nil
}

// seed are the files from which cloud-init, and Ignition from a config drive, take
// the config.
func (b *baking) seed() ([]images.Source, error) {
	file := func(path string, data []byte) images.Source {
		return images.Bytes(artifact.File{Path: path, Mode: 0o600, Contents: data})
	}
	meta := map[string]string{"instance-id": b.Instance}
	if b.drive == images.ConfigDriveLabel {
		meta = map[string]string{"uuid": b.Instance}
		if b.Hostname != "" {
			meta["hostname"], meta["name"] = b.Hostname, b.Hostname
		}
	} else if b.Hostname != "" {
		meta["local-hostname"] = b.Hostname
	}
	if b.Instance == "" {
		return nil, fmt.Errorf("the instance id is empty: cloud-init would run its first boot at every boot")
	}
	text, err := json.MarshalIndent(meta, "", "  ") // which is YAML, too
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	if b.drive == images.ConfigDriveLabel {
		return []images.Source{file("openstack/latest/user_data", b.Config), file("openstack/latest/meta_data.json", text)}, nil
	}
	network := b.Network
	if len(network) == 0 {
		network = []byte(images.DefaultNetwork)
	}
	return []images.Source{file("user-data", b.Config), file("meta-data", text), file("network-config", network)}, nil
}
