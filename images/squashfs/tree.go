package squashfs

import (
	"cmp"
	"io/fs"
	"path"
	"slices"
)

// number lists all nodes by level and numbers them. The order in which entries were
// given leaves no trace.
func number(root *node) []*node {
	all := []*node{root}
	for i := 0; i < len(all); i++ {
		slices.SortFunc(all[i].children, func(a, b *node) int { return cmp.Compare(a.Path, b.Path) })
		all = append(all, all[i].children...)
		all[i].number = uint32(i + 1)
	}
	return all
}

func (n *node) name() string { return path.Base(n.Path) }

// mode is the permission bits as inodes have them; the type stands elsewhere.
func (n *node) mode() uint16 {
	m := uint16(n.Mode.Perm())
	for bit, as := range map[fs.FileMode]uint16{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if n.Mode&bit != 0 {
			m |= as
		}
	}
	return m
}

// Types of inodes. Those of entries in folders are always the basic ones.
const (
	typeDir     = 1
	typeFile    = 2
	typeSymlink = 3
	extended    = 7 // from a basic type to the one with more fields
)

func (n *node) kind() uint16 {
	switch n.Mode.Type() {
	case fs.ModeDir:
		return typeDir
	case fs.ModeSymlink:
		return typeSymlink
	}
	return typeFile
}

// links is the link count of a folder, as a Unix file system has it.
func (n *node) links() uint32 {
	count := uint32(2)
	for _, c := range n.children {
		if c.Mode.IsDir() {
			count++
		}
	}
	return count
}
