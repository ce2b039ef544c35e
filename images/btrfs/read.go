package btrfs

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/imgforge/imgforge/images/sparse"
)

// FS is a file system that was read whole, but for the data of its files.
type FS struct {
	disk   sparse.Content
	super  []byte
	chunks []chunk
	node   int
	root   []byte // the root item of the files
	items  []item // of the files
	added  map[key][]byte
	read   uint64 // nodes so far
}

// chunk is where addresses of the file system lie on the disk.
type chunk struct{ logical, size, physical uint64 }

// Label is the file system's label; ok tells whether there is a btrfs at all.
func Label(disk sparse.Content) (text string, ok bool) {
	super := make([]byte, superSize)
	if n, _ := disk.ReadAt(super, superAt); n < superSize || string(super[64:72]) != superMagic {
		return "", false
	}
	return label(super), true
}

// Read reads the file system of a partition. It refuses what it could not lay out
// again with nothing lost.
func Read(disk sparse.Content) (*FS, error) {
	f := &FS{disk: disk, super: make([]byte, superSize), added: map[key][]byte{}}
	if n, err := disk.ReadAt(f.super, superAt); n < superSize {
		return nil, fmt.Errorf("read btrfs: superblock: %w", err)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("read btrfs: %w", err)
	}
	if err := f.load(); err != nil {
		return nil, fmt.Errorf("read btrfs: %w", err)
	}
	return f, nil
}

func (f *FS) check() error {
	s := f.super
	f.node = int(u32(s[superNode:]))
	switch {
	case string(s[64:72]) != superMagic:
		return errors.New("there is none: no superblock at 64 KiB")
	case s[superChecksum] != 0 || s[superChecksum+1] != 0:
		return fmt.Errorf("its checksums are of type %d; only 0, crc32c, is known", u16(s[superChecksum:]))
	case u32(s) != checksum(s[32:]):
		return errors.New("the checksum of its superblock is wrong: the image is damaged, get it again")
	case u64(s[superIncompat:])&^incompatKnown != 0 || u64(s[superCompatRO:])&^compatROKnown != 0:
		return fmt.Errorf("it uses features %#x and %#x, of which not all are known", u64(s[superIncompat:]), u64(s[superCompatRO:]))
	case u64(s[superIncompat:])&incompatMixed == 0 || u32(s[superSector:]) != 4096 || f.node != 4096:
		return errors.New("its data and metadata are apart: only the form that Flatcar makes is known (mkfs.btrfs --mixed)")
	case u64(s[superDevices:]) != 1:
		return fmt.Errorf("it lies on %d devices; only one is known", u64(s[superDevices:]))
	case u64(s[superLogRoot:]) != 0:
		return errors.New("it was not unmounted cleanly: mount and unmount a copy once")
	case u64(s[superTotal:]) > uint64(f.disk.Size()) || u64(s[superTotal:]) < minTotal:
		return fmt.Errorf("it says it has %d bytes, its partition has %d", u64(s[superTotal:]), f.disk.Size())
	}
	return f.systemChunks()
}

// systemChunks are in the superblock itself.
func (f *FS) systemChunks() error {
	length := int(u32(f.super[superChunksLen:]))
	if length > 2048 {
		return fmt.Errorf("its superblock says %d bytes of chunks", length)
	}
	for b := f.super[superChunks : superChunks+length]; len(b) > 0; {
		if len(b) < 17+80 {
			return errors.New("the chunks in its superblock are cut short")
		}
		k := parseKey(b)
		stripes := int(u16(b[17+44:]))
		if len(b) < 17+48+32*stripes {
			return errors.New("the chunks in its superblock are cut short")
		}
		if err := f.addChunk(k, b[17:17+48+32*stripes]); err != nil {
			return err
		}
		b = b[17+48+32*stripes:]
	}
	return nil
}

// addChunk notes a chunk; of copies (DUP) the first is read.
func (f *FS) addChunk(k key, data []byte) error {
	if k.kind != typeChunk || len(data) < 80 {
		return errors.New("a chunk item is cut short")
	}
	if profile := u64(data[24:]) &^ (blockData | blockSystem | blockMetadata); profile != 0 && profile != 1<<5 {
		return fmt.Errorf("it is spread over its device in a way that is not known (%#x)", profile)
	}
	f.chunks = append(f.chunks, chunk{k.offset, u64(data), u64(data[48+8:])})
	return nil
}

// place is where size bytes at an address lie on the disk.
func (f *FS) place(at, size uint64) (int64, error) {
	for _, c := range f.chunks {
		if at >= c.logical && at-c.logical < c.size && size <= c.size-(at-c.logical) {
			physical := c.physical + at - c.logical
			if physical > uint64(f.disk.Size()) || size > uint64(f.disk.Size())-physical {
				break
			}
			return int64(physical), nil
		}
	}
	return 0, fmt.Errorf("the %d bytes at address %d are in no chunk", size, at)
}

// load reads the chunks, then the root tree, then the files.
func (f *FS) load() error {
	err := f.walk(u64(f.super[superChunkRoot:]), int(f.super[superChunkLevel]), func(i item) error {
		if i.kind != typeChunk {
			return nil
		}
		return f.addChunk(i.key, i.data)
	})
	if err != nil {
		return fmt.Errorf("chunks: %w", err)
	}
	err = f.walk(u64(f.super[superRoot:]), int(f.super[superRootLevel]), func(i item) error {
		switch {
		case i.kind == typeRoot && i.object == treeFS && len(i.data) == rootSize:
			f.root = i.data
		case i.kind == typeRoot && i.object >= objectFirst && i.object < 1<<63:
			return fmt.Errorf("it has a subvolume (%d); only one without is known", i.object)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("roots: %w", err)
	}
	if f.root == nil {
		return errors.New("roots: that of its files is missing")
	}
	err = f.walk(u64(f.root[176:]), int(f.root[238]), func(i item) error {
		known := []uint8{typeInode, typeInodeRef, typeInodeExt, typeXattr, typeDirItem, typeDirIndex, typeExtentData}
		if !slices.Contains(known, i.kind) {
			return fmt.Errorf("item of type %d of object %d is not known", i.kind, i.object)
		}
		f.items = append(f.items, i)
		return nil
	})
	if err != nil {
		return fmt.Errorf("files: %w", err)
	}
	return nil
}

// walk visits the items of a tree in order.
func (f *FS) walk(at uint64, level int, visit func(item) error) error {
	b, err := f.readNode(at, level)
	if err != nil {
		return err
	}
	for i := range int(u32(b[96:])) {
		if level > 0 {
			p := b[headerSize+i*ptrSize:]
			if err := f.walk(u64(p[17:]), level-1, visit); err != nil {
				return err
			}
			continue
		}
		p := b[headerSize+i*itemSize:]
		from, size := uint64(u32(p[17:])), uint64(u32(p[21:]))
		if from+size > uint64(len(b)-headerSize) {
			return fmt.Errorf("node %d: item %d is outside of it", at, i)
		}
		if err := visit(item{parseKey(p), b[headerSize+from : headerSize+from+size]}); err != nil {
			return err
		}
	}
	return nil
}

// readNode reads and checks one node.
func (f *FS) readNode(at uint64, level int) ([]byte, error) {
	place, err := f.place(at, uint64(f.node))
	if err != nil {
		return nil, err
	}
	// Levels only fall, but nodes of a damaged file system may refer to one many times.
	if f.read++; f.read > 4*u64(f.super[superTotal:])/uint64(f.node) || level > maxLevel {
		return nil, errors.New("its trees refer to the same nodes again and again: the image is damaged, get it again")
	}
	b := make([]byte, f.node)
	if n, err := f.disk.ReadAt(b, place); n < len(b) {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	each := ptrSize
	if level == 0 {
		each = itemSize
	}
	switch {
	case u32(b) != checksum(b[32:]):
		return nil, fmt.Errorf("the checksum of node %d is wrong: the image is damaged, get it again", at)
	case u64(b[48:]) != at || int(b[100]) != level:
		return nil, fmt.Errorf("node %d says it is node %d of level %d, not %d", at, u64(b[48:]), b[100], level)
	case uint64(u32(b[96:]))*uint64(each) > uint64(len(b)-headerSize):
		return nil, fmt.Errorf("node %d says it has %d items", at, u32(b[96:]))
	}
	return b, nil
}
