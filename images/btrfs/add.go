package btrfs

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// File is one file to add to the top folder.
type File struct {
	Name     string
	Mode     uint32 // permission bits
	Time     int64  // seconds since 1970
	Label    string // of SELinux; "" for none
	Contents []byte
}

// ErrExists means that the top folder has an entry of the name already.
var ErrExists = errors.New("it is there already")

const (
	regular    = 0o100000
	kindFile   = 1 // of directory entries
	kindXattr  = 8
	maxName    = 255
	maxInline  = 2048 // bytes that stand in the tree itself
	maxExtent  = 1 << 20
	maxContent = 64 << 20
)

// Add puts a file of root's into the top folder.
func (f *FS) Add(file File) error {
	if file.Name == "" || len(file.Name) > maxName || bytes.ContainsAny([]byte(file.Name), "/\x00") {
		return fmt.Errorf("add %q: it is not the name of a file", file.Name)
	}
	if len(file.Contents) > maxContent {
		return fmt.Errorf("add %s: its %d bytes are more than %d", file.Name, len(file.Contents), maxContent)
	}
	number, index, err := f.numbers(file.Name)
	if err != nil {
		return fmt.Errorf("add %s: %w", file.Name, err)
	}
	top := f.find(key{objectFirst, typeInode, 0})
	if top == nil || len(top.data) < inodeSize {
		return errors.New("it has no top folder")
	}
	top.data = bytes.Clone(top.data)
	put64(top.data[16:], u64(top.data[16:])+2*uint64(len(file.Name)))
	put64(top.data[124:], uint64(file.Time)) // changed
	put64(top.data[136:], uint64(file.Time)) // modified
	generation := u64(f.super[superGeneration:]) + 1
	to := key{number, typeInode, 0}
	entry := dirEntry(to, generation, kindFile, file.Name)
	hash := key{objectFirst, typeDirItem, nameHash(file.Name)}
	if other := f.find(hash); other != nil {
		other.data = append(bytes.Clone(other.data), entry...)
	} else {
		f.insert(item{hash, entry})
	}
	f.insert(item{key{objectFirst, typeDirIndex, index}, entry})
	ref := append(words(index), byte(len(file.Name)), byte(len(file.Name)>>8))
	f.insert(item{key{number, typeInodeRef, objectFirst}, append(ref, file.Name...)})
	if file.Label != "" {
		name, value := "security.selinux", file.Label+"\x00"
		x := dirEntry(key{}, generation, kindXattr, name)
		x[25], x[26] = byte(len(value)), byte(len(value)>>8)
		f.insert(item{key{number, typeXattr, nameHash(name)}, append(x, value...)})
	}
	stored := f.addData(number, generation, file.Contents)
	f.insert(item{to, inode(generation, file, stored)})
	return nil
}

// addData makes the extents of a new file. The address in them is the offset in
// the file, and the bytes are in f.added, until the file system is laid out.
func (f *FS) addData(number, generation uint64, data []byte) (stored uint64) {
	if len(data) == 0 {
		return 0
	}
	head := func(size uint64, kind byte) []byte {
		return append(words(generation, size), 0, 0, 0, 0, kind)
	}
	if len(data) <= maxInline {
		f.insert(item{key{number, typeExtentData, 0}, append(head(uint64(len(data)), 0), data...)})
		return uint64(len(data))
	}
	for at := 0; at < len(data); at += maxExtent {
		part := data[at:min(at+maxExtent, len(data))]
		padded := make([]byte, (len(part)+4095)/4096*4096)
		copy(padded, part)
		size := uint64(len(padded))
		k := key{number, typeExtentData, uint64(at)}
		f.added[k] = padded
		f.insert(item{k, append(head(size, 1), words(1, size, 0, size)...)})
		stored += size
	}
	return stored
}

func inode(generation uint64, file File, stored uint64) []byte {
	b := make([]byte, inodeSize)
	copy(b, words(generation, generation, uint64(len(file.Contents)), stored))
	put32(b[40:], 1)
	put32(b[52:], regular|file.Mode&0o777)
	for _, at := range []int{112, 124, 136, 148} {
		put64(b[at:], uint64(file.Time))
	}
	return b
}

// numbers are those of the next file and of the next entry of the top folder.
func (f *FS) numbers(name string) (inode, index uint64, err error) {
	inode, index = objectFirst, 1
	for _, i := range f.items {
		if i.object < 1<<63 {
			inode = max(inode, i.object)
		}
		if i.object != objectFirst || i.kind != typeDirIndex {
			continue
		}
		index = max(index, i.offset)
		if len(i.data) < 30 || len(i.data) < 30+int(u16(i.data[27:])) {
			return 0, 0, fmt.Errorf("entry %d of the top folder is cut short", i.offset)
		}
		if string(i.data[30:30+int(u16(i.data[27:]))]) == name {
			return 0, 0, ErrExists
		}
	}
	return inode + 1, index + 1, nil
}

func (f *FS) find(k key) *item {
	at, ok := slices.BinarySearchFunc(f.items, k, func(i item, k key) int { return i.compare(k) })
	if !ok {
		return nil
	}
	return &f.items[at]
}

func (f *FS) insert(n item) {
	at, _ := slices.BinarySearchFunc(f.items, n.key, func(i item, k key) int { return i.compare(k) })
	f.items = slices.Insert(f.items, at, n)
}
