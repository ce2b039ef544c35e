package images

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
)

// WriteISO writes an ISO 9660 image with the volume label and files given, in one
// pass and without seeking. Paths are relative. Names, modes and owners (root) are
// those of Rock Ridge, which every reader of config drives uses: Linux prefers it
// to Joliet, and blkid takes the label, lower case included, from the primary
// descriptor when there is no Joliet one. So there is none.
func WriteISO(w io.Writer, label string, files []artifact.File) error {
	sources := make([]Source, len(files))
	for i, f := range files {
		sources[i] = Bytes(f)
	}
	return WriteISOFrom(w, label, sources)
}

// WriteISOFrom is [WriteISO] for files that do not fit into memory.
func WriteISOFrom(w io.Writer, label string, sources []Source) error {
	l, err := newLayout(label, sources)
	if err != nil {
		return fmt.Errorf("write image %q: %w", label, err)
	}
	if err := l.write(w); err != nil {
		return fmt.Errorf("write image %q: %w", label, err)
	}
	return nil
}

// layout is where everything lies.
type layout struct {
	label          string
	dirs           []*isoNode // in path table order, the root first
	files          []*isoNode
	more           []byte     // continuation area
	long           []*isoNode // whose entries go on in it
	tableL, tableM []byte     // path tables, little and big endian
	lbaL, lbaM     uint32
	lbaMore        uint32
	sectors        uint32
}

const firstDescriptor = 16 // sectors before it belong to boot loaders

func newLayout(label string, sources []Source) (*layout, error) {
	if err := checkLabel(label); err != nil {
		return nil, err
	}
	root, err := newISOTree(sources)
	if err != nil {
		return nil, err
	}
	l := &layout{label: label, dirs: directories(root)}
	if len(l.dirs) > maxDirs {
		return nil, fmt.Errorf("%d folders are more than an ISO 9660 image holds (%d)", len(l.dirs), maxDirs)
	}
	for i, d := range l.dirs {
		d.number = uint16(i + 1)
		for _, c := range d.children {
			if !c.isDir() {
				l.files = append(l.files, c)
			}
		}
	}
	l.fillMore()
	if err := l.place(); err != nil {
		return nil, err
	}
	l.tableL = pathTable(l.dirs, binary.LittleEndian)
	l.tableM = pathTable(l.dirs, binary.BigEndian)
	return l, nil
}

// checkLabel allows what blkid, udev and a kernel argument carry unescaped.
func checkLabel(label string) error {
	ok := label != "" && len(label) <= 32
	for _, r := range label {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
	}
	if !ok {
		return fmt.Errorf("label %q must be 1 to 32 of a-z, A-Z, 0-9, dots, underscores and hyphens", label)
	}
	return nil
}

// fillMore packs what does not fit into directory records. No entry crosses a
// sector: Linux reads one.
func (l *layout) fillMore() {
	add := func(n *isoNode, data []byte) {
		if room := sector - len(l.more)%sector; len(data) > room {
			l.more = append(l.more, make([]byte, room)...)
		}
		n.more = data
		n.moreLBA, n.moreOffset = uint32(len(l.more)/sector), uint32(len(l.more)%sector)
		l.more = append(l.more, data...)
		l.long = append(l.long, n)
	}
	add(l.dirs[0], rockRidge())
	for _, d := range l.dirs {
		for _, c := range d.children {
			if needsMore(c) {
				add(c, alternateName(c.name))
			}
		}
	}
}

// place gives everything its sector. Record lengths do not depend on it.
func (l *layout) place() error {
	at := int64(firstDescriptor + 2)
	take := func(bytes int64) uint32 {
		lba := at
		at += (bytes + sector - 1) / sector
		return uint32(min(lba, maxSectors)) // checked below
	}
	table := int64(len(pathTable(l.dirs, binary.LittleEndian)))
	l.lbaL = take(table)
	l.lbaM = take(table)
	for _, d := range l.dirs {
		length := (len(listing(d)) + sector - 1) / sector * sector
		d.size = uint32(length)
		d.lba = take(int64(length))
	}
	l.lbaMore = take(int64(len(l.more)))
	for _, f := range l.files {
		f.lba = take(f.source.Size)
	}
	if at > maxSectors {
		return fmt.Errorf("%d sectors are more than an ISO 9660 image holds (%d)", at, int64(maxSectors))
	}
	l.sectors = uint32(at)
	for _, n := range l.long {
		n.moreLBA += l.lbaMore
	}
	return nil
}

func (l *layout) write(w io.Writer) error {
	out := &sectorWriter{w: bufio.NewWriterSize(w, 64<<10)}
	out.block(0, make([]byte, firstDescriptor*sector))
	out.block(firstDescriptor, volumeDescriptor(l))
	out.block(firstDescriptor+1, terminator())
	out.block(l.lbaL, l.tableL)
	out.block(l.lbaM, l.tableM)
	for _, d := range l.dirs {
		out.block(d.lba, listing(d))
	}
	out.block(l.lbaMore, l.more)
	for _, f := range l.files {
		if err := out.file(f); err != nil {
			return err
		}
	}
	if out.err != nil {
		return out.err
	}
	return out.w.Flush()
}

// sectorWriter writes whole sectors and keeps the first error.
type sectorWriter struct {
	w   *bufio.Writer
	n   int64
	err error
}

func (s *sectorWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.n += int64(n)
	return n, err
}

// block writes data at a sector, which must be the next.
func (s *sectorWriter) block(lba uint32, data []byte) {
	if s.err == nil && s.n != int64(lba)*sector {
		s.err = fmt.Errorf("the layout is wrong: at byte %d, not at sector %d", s.n, lba)
	}
	if s.err != nil {
		return
	}
	if _, s.err = s.Write(data); s.err == nil {
		s.err = s.pad()
	}
}

func (s *sectorWriter) pad() error {
	if rest := s.n % sector; rest > 0 {
		_, err := s.Write(make([]byte, sector-rest))
		return err
	}
	return nil
}

// file copies the contents of one file, which must have the size announced.
func (s *sectorWriter) file(f *isoNode) (err error) {
	if s.block(f.lba, nil); s.err != nil {
		return s.err
	}
	r, err := f.source.Open()
	if err != nil {
		return fmt.Errorf("open %s: %w", f.source.Path, err)
	}
	defer r.Close()
	n, err := io.Copy(s, io.LimitReader(r, f.source.Size+1))
	if err != nil {
		return fmt.Errorf("copy %s: %w", f.source.Path, err)
	}
	if n != f.source.Size {
		return fmt.Errorf("copy %s: it has not the %d bytes it was said to have: it changed while it was read", f.source.Path, f.source.Size)
	}
	return s.pad()
}
