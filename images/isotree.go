package images

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/imgforge/imgforge/internal/artifact"
)

// Limits of an image. Files are one extent each, whose length has 32 bits; the
// depth is that of ECMA-119, 6.8.2.1, counting the root and the file.
const (
	maxFileSize = 1<<32 - 1
	maxDepth    = 9
	maxName     = 255
	maxDirs     = 1<<16 - 1
	maxSectors  = 1<<32 - 1
)

// Source is a file of an image whose contents are read when they are written.
type Source struct {
	Path string // relative, slash-separated
	Mode uint32 // permission bits; 0 means 0644
	Size int64  // bytes
	Open func() (io.ReadCloser, error)
}

// Bytes makes a Source of a file in memory.
func Bytes(f artifact.File) Source {
	return Source{Path: f.Path, Mode: f.Mode, Size: int64(len(f.Contents)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(f.Contents)), nil
	}}
}

// isoNode is a file or directory of the image.
type isoNode struct {
	name     string // as Linux shows it (Rock Ridge)
	id       string // as ISO 9660 spells it
	source   *Source
	parent   *isoNode // of the root, itself
	children []*isoNode
	number   uint16 // in the path table, from 1; directories only
	lba      uint32
	size     uint32 // bytes; of a directory, whole sectors
	// more is the part of the entry that does not fit into its directory record.
	more       []byte
	moreLBA    uint32
	moreOffset uint32
}

func (n *isoNode) isDir() bool { return n.source == nil }

func (n *isoNode) mode() uint32 {
	switch {
	case n.isDir():
		return 0o040755
	case n.source.Mode == 0:
		return 0o100644
	}
	return 0o100000 | n.source.Mode
}

// links is the link count as a Unix file system has it.
func (n *isoNode) links() uint32 {
	if !n.isDir() {
		return 1
	}
	count := uint32(2)
	for _, c := range n.children {
		if c.isDir() {
			count++
		}
	}
	return count
}

// newISOTree sorts sources into directories and gives each entry its identifier.
func newISOTree(sources []Source) (*isoNode, error) {
	root := &isoNode{}
	root.parent = root
	byPath := map[string]*isoNode{".": root}
	for i := range sources {
		s := &sources[i]
		if err := checkSource(s); err != nil {
			return nil, err
		}
		if byPath[s.Path] != nil {
			return nil, fmt.Errorf("file %q is there twice, or is a folder of another file", s.Path)
		}
		dir := root
		parts := strings.Split(s.Path, "/")
		for j, name := range parts[:len(parts)-1] {
			path := strings.Join(parts[:j+1], "/")
			next := byPath[path]
			if next == nil {
				next = &isoNode{name: name, parent: dir}
				dir.children = append(dir.children, next)
				byPath[path] = next
			}
			if !next.isDir() {
				return nil, fmt.Errorf("file %q lies below %q, which is a file", s.Path, path)
			}
			dir = next
		}
		leaf := &isoNode{name: parts[len(parts)-1], source: s, parent: dir, size: uint32(s.Size)}
		dir.children = append(dir.children, leaf)
		byPath[s.Path] = leaf
	}
	for _, d := range directories(root) {
		identify(d.children)
	}
	return root, nil
}

func checkSource(s *Source) error {
	switch {
	case !fs.ValidPath(s.Path) || s.Path == "." || !utf8.ValidString(s.Path):
		return fmt.Errorf("file path %q must be relative, clean and UTF-8", s.Path)
	case strings.ContainsFunc(s.Path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("file path %q holds a control character", s.Path)
	case strings.Count(s.Path, "/")+2 > maxDepth:
		return fmt.Errorf("file %q lies deeper than the %d levels of ISO 9660", s.Path, maxDepth-1)
	case s.Size < 0 || s.Size > maxFileSize:
		return fmt.Errorf("file %q has %d bytes: one file of an ISO 9660 image holds at most %d", s.Path, s.Size, int64(maxFileSize))
	case s.Mode > 0o777:
		return fmt.Errorf("file %q: mode %#o has more than permission bits", s.Path, s.Mode)
	}
	for name := range strings.SplitSeq(s.Path, "/") {
		if len(name) > maxName {
			return fmt.Errorf("file %q: a name has %d bytes, more than %d", s.Path, len(name), maxName)
		}
	}
	return nil
}

// directories lists root and everything below it by level, then parent, then
// identifier: the order of the path table.
func directories(root *isoNode) []*isoNode {
	out := []*isoNode{root}
	for i := 0; i < len(out); i++ {
		for _, c := range out[i].children {
			if c.isDir() {
				out = append(out, c)
			}
		}
	}
	return out
}

// identify gives the entries of one directory their ISO 9660 identifiers, level
// 2: unique, upper case, at most 30 characters. Only readers without Rock Ridge
// see them. The order of the files given leaves no trace.
func identify(entries []*isoNode) {
	slices.SortFunc(entries, func(a, b *isoNode) int { return cmp.Compare(a.name, b.name) })
	taken := map[string]bool{}
	next := map[string]int{}
	for _, n := range entries {
		base, ext := n.name, ""
		if dot := strings.LastIndexByte(n.name, '.'); dot > 0 && !n.isDir() {
			base, ext = n.name[:dot], n.name[dot+1:]
		}
		base, ext = dCharacters(base, 30), dCharacters(ext, 8)
		base = base[:min(len(base), 30-len(ext))]
		id := base
		for taken[id+"."+ext] {
			next[base+"."+ext]++
			number := fmt.Sprintf("_%d", next[base+"."+ext])
			id = base[:min(len(base), 30-len(ext)-len(number))] + number
		}
		taken[id+"."+ext] = true
		n.id = id
		if !n.isDir() {
			n.id = id + "." + ext + ";1"
		}
	}
	slices.SortFunc(entries, func(a, b *isoNode) int { return cmp.Compare(a.id, b.id) })
}

// dCharacters spells s with A-Z, 0-9 and _ (ECMA-119, 7.4.1).
func dCharacters(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z' || r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), most)]
}
