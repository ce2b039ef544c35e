package squashfs

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Entry is one folder, file or symbolic link of an image.
type Entry struct {
	// Path is relative, clean and slash-separated; "." is the root itself.
	Path string
	// Mode says what it is (fs.ModeDir, fs.ModeSymlink or neither), its permission
	// bits, and setuid, setgid and sticky bits as package fs has them.
	Mode     fs.FileMode
	UID, GID uint32
	// ModTime is in seconds since 1970.
	ModTime uint32
	// Target is where a symbolic link leads, as it is written.
	Target string
	// Xattrs are extended attributes by their full name: user., trusted. or security.
	Xattrs map[string]string
	// Size is the bytes of a file, and Open reads exactly as many. Both are unused
	// for folders and links.
	Size int64
	Open func() (io.ReadCloser, error)
}

// Bytes makes a file of contents in memory, owned by root.
func Bytes(name string, mode fs.FileMode, data []byte) Entry {
	return Entry{Path: name, Mode: mode, Size: int64(len(data)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}}
}

// Limits of the format and of Linux.
const (
	maxName   = 255
	maxTarget = 4095
	maxXattr  = 1 << 16 // bytes of one value: Linux takes no more
)

func (e *Entry) check() error {
	switch {
	case !fs.ValidPath(e.Path) || strings.ContainsRune(e.Path, 0):
		return fmt.Errorf("path %q must be relative and clean", e.Path)
	case len(path.Base(e.Path)) > maxName:
		return fmt.Errorf("%q: a name has %d bytes, more than %d", e.Path, len(path.Base(e.Path)), maxName)
	case e.Path == "." && !e.Mode.IsDir():
		return fmt.Errorf("the root must be a folder")
	}
	switch e.Mode.Type() {
	case fs.ModeDir:
	case fs.ModeSymlink:
		if e.Target == "" || len(e.Target) > maxTarget || strings.ContainsRune(e.Target, 0) {
			return fmt.Errorf("link %q: its target must have 1 to %d bytes and no zero byte", e.Path, maxTarget)
		}
	case 0:
		if e.Size < 0 || e.Size > 0 && e.Open == nil {
			return fmt.Errorf("file %q has nothing to read its %d bytes from", e.Path, e.Size)
		}
	default:
		return fmt.Errorf("%q is neither a folder, a file nor a symbolic link, and only these are written", e.Path)
	}
	return e.checkXattrs()
}

func (e *Entry) checkXattrs() error {
	for name, value := range e.Xattrs {
		if _, rest := prefixOf(name); rest == "" || len(name) > maxName {
			return fmt.Errorf("%q: attribute %q must begin with user., trusted. or security. and have at most %d bytes", e.Path, name, maxName)
		}
		if len(value) > maxXattr {
			return fmt.Errorf("%q: attribute %q has %d bytes, more than %d", e.Path, name, len(value), maxXattr)
		}
	}
	return nil
}

// node is an entry in its place in the tree, and where its parts came to lie.
type node struct {
	Entry
	parent   *node // of the root, none
	children []*node
	number   uint32 // of the inode, from 1
	ref      uint64 // of the inode in its table: block<<16 | offset

	start    uint64   // of the first block in the image
	blocks   []uint32 // sizes, as the format has them
	sparse   uint64   // bytes that are holes
	fragment uint32   // noFragment, or which
	offset   uint32   // in the fragment
	xattr    uint32   // noXattr, or which set
}

const (
	noFragment = 0xffffffff
	noXattr    = 0xffffffff
)

// newTree sorts entries into folders, and adds folders that nobody listed: root's,
// 0755, of the time given. Nodes are numbered by level, so that those of one folder
// lie next to each other.
func newTree(entries []Entry, time uint32) ([]*node, error) {
	nodes := map[string]*node{}
	for i := range entries {
		e := entries[i]
		if err := e.check(); err != nil {
			return nil, err
		}
		if nodes[e.Path] != nil {
			return nil, fmt.Errorf("%q is there twice", e.Path)
		}
		nodes[e.Path] = &node{Entry: e, fragment: noFragment, xattr: noXattr}
	}
	for _, e := range entries {
		if err := attach(nodes, e.Path, time); err != nil {
			return nil, err
		}
	}
	if nodes["."] == nil {
		nodes["."] = folder(".", time)
	}
	return number(nodes["."]), nil
}

func folder(name string, time uint32) *node {
	return &node{Entry: Entry{Path: name, Mode: fs.ModeDir | 0o755, ModTime: time}, fragment: noFragment, xattr: noXattr}
}

// attach gives the node of a name its parent, and its parents theirs.
func attach(nodes map[string]*node, name string, time uint32) error {
	for n := nodes[name]; name != "." && n.parent == nil; n = n.parent {
		name = path.Dir(name)
		p := nodes[name]
		if p == nil {
			p = folder(name, time)
			nodes[name] = p
		}
		if !p.Mode.IsDir() {
			return fmt.Errorf("%q lies below %q, which is no folder", n.Path, name)
		}
		n.parent = p
		p.children = append(p.children, n)
	}
	return nil
}
