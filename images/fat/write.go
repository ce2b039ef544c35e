package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// File is a file of a new volume. Folders above it are made.
type File struct {
	// Path has slashes, and names of at most eight letters with an extension of at most
	// three, in any case: such as EFI/BOOT/BOOTX64.EFI.
	Path string
	Size int64
	// Data is where its bytes are read from.
	Data io.ReaderAt
}

// Volume is a new FAT32 file system.
type Volume struct {
	Size  int64  // bytes: a multiple of 2048, and at least 129 MiB
	Label string // at most 11 capital letters
	ID    uint32 // the volume's serial number
	// Time is that of every file, in seconds since 1970.
	Time  int64
	Files []File
}

// Places of the format ("FAT: General Overview of On-Disk Format", 3). A cluster of
// four sectors gives an ESP of 256 MiB twice the clusters that make a FAT32.
const (
	sectorSize   = 512
	perCluster   = 4
	clusterSize  = sectorSize * perCluster
	reserved     = 32
	leastFAT32   = 65525
	entryBytes   = 32
	endOfChain   = 0x0fffffff
	attrVolume   = 0x08
	attrFolder   = 0x10
	attrArchive  = 0x20
	media        = 0xf8
	firstCluster = 2
)

// Write writes the volume into w, which must read as zeros. The same volume gives the
// same bytes.
func Write(w io.WriterAt, v Volume) error {
	f, err := newFormatter(w, v)
	if err == nil {
		err = f.fill()
	}
	if err != nil {
		return fmt.Errorf("write FAT file system %s: %w", v.Label, err)
	}
	return nil
}

// formatter is a volume at work.
type formatter struct {
	Volume
	w       io.WriterAt
	fat     []uint32 // of every cluster, and the two before the first
	next    uint32
	perFAT  int64 // sectors
	dataAt  int64
	folders map[string]*folder
	order   []string
}

// folder is one whose entries are collected before they are written.
type folder struct {
	entries []byte
	first   uint32 // cluster; 0 for the root's
}

func newFormatter(w io.WriterAt, v Volume) (*formatter, error) {
	sectors := v.Size / sectorSize
	// Each cluster takes four bytes in both copies of the table.
	perFAT := ((sectors-reserved)*4 + perCluster*sectorSize + 8 - 1) / (perCluster*sectorSize + 8)
	clusters := (sectors - reserved - 2*perFAT) / perCluster
	switch {
	case v.Size%clusterSize != 0:
		return nil, fmt.Errorf("its size of %d bytes is not a multiple of %d", v.Size, clusterSize)
	case clusters < leastFAT32 || sectors > 1<<32-1:
		return nil, fmt.Errorf("a FAT32 cannot have %d bytes", v.Size)
	case len(v.Label) > 11 || v.Label != strings.ToUpper(v.Label) || v.Label == "":
		return nil, fmt.Errorf("the label must have 1 to 11 capital letters")
	}
	f := &formatter{Volume: v, w: w, fat: make([]uint32, clusters+firstCluster), next: firstCluster, perFAT: perFAT,
		dataAt: (reserved + 2*perFAT) * sectorSize, folders: map[string]*folder{}}
	f.fat[0], f.fat[1] = 0x0fffff00|media, endOfChain
	return f, nil
}

// fill writes the files, then the folders, and the tables last.
func (f *formatter) fill() error {
	root := f.folder(".")
	root.entries = append(root.entries, f.entry([11]byte([]byte(fmt.Sprintf("%-11s", f.Label))), attrVolume, 0, 0)...)
	// The root's cluster is fixed before anything else takes one.
	f.fat[f.next] = endOfChain
	f.next++
	for _, file := range f.Files {
		if err := f.file(file); err != nil {
			return fmt.Errorf("%s: %w", file.Path, err)
		}
	}
	slices.SortStableFunc(f.order, func(a, b string) int { return strings.Count(a, "/") - strings.Count(b, "/") })
	for _, name := range f.order[1:] {
		if err := f.enter(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, name := range f.order {
		d := f.folders[name]
		if len(d.entries) > clusterSize {
			return fmt.Errorf("the folder %s has more than %d entries", name, clusterSize/entryBytes)
		}
		if _, err := f.w.WriteAt(d.entries, f.at(max(d.first, firstCluster))); err != nil {
			return err
		}
	}
	return f.tables()
}

// folder is the one of a path, with all above it.
func (f *formatter) folder(name string) *folder {
	if d := f.folders[name]; d != nil {
		return d
	}
	if name != "." {
		f.folder(path.Dir(name))
	}
	f.folders[name] = &folder{}
	f.order = append(f.order, name)
	return f.folders[name]
}

func (f *formatter) file(file File) error {
	name, err := shortName(path.Base(file.Path))
	if err != nil {
		return err
	}
	if file.Size < 0 || file.Size > 1<<32-1 {
		return fmt.Errorf("a file cannot have %d bytes", file.Size)
	}
	first, err := f.take(file.Size)
	if err != nil {
		return err
	}
	if n, err := io.Copy(io.NewOffsetWriter(f.w, f.at(first)), io.NewSectionReader(file.Data, 0, file.Size)); err != nil || n != file.Size {
		return errors.Join(err, fmt.Errorf("%d of its %d bytes were read", n, file.Size))
	}
	d := f.folder(path.Dir(path.Clean(strings.ToUpper(file.Path))))
	d.entries = append(d.entries, f.entry(name, attrArchive, first, uint32(file.Size))...)
	return nil
}

// take makes a chain of clusters that follow each other; 0 for no bytes.
func (f *formatter) take(size int64) (uint32, error) {
	n := uint32((size + clusterSize - 1) / clusterSize)
	if int64(f.next)+int64(n) > int64(len(f.fat)) {
		return 0, fmt.Errorf("its %d bytes do not fit any more", size)
	}
	first := f.next
	for i := range n {
		f.fat[first+i] = first + i + 1
	}
	if n == 0 {
		return 0, nil
	}
	f.fat[first+n-1] = endOfChain
	f.next += n
	return first, nil
}

func (f *formatter) at(cluster uint32) int64 {
	return f.dataAt + int64(max(cluster, firstCluster)-firstCluster)*clusterSize
}

// enter gives a folder its cluster, and its parent, which has one already, the entry.
// The root's cluster stands for 0 there.
func (f *formatter) enter(name string) error {
	short, err := shortName(path.Base(name))
	if err != nil {
		return err
	}
	d, parent := f.folders[name], f.folders[path.Dir(name)]
	if d.first, err = f.take(clusterSize); err != nil {
		return err
	}
	head := slices.Concat(f.entry([11]byte([]byte(".          ")), attrFolder, d.first, 0), f.entry([11]byte([]byte("..         ")), attrFolder, parent.first, 0))
	d.entries = append(head, d.entries...)
	parent.entries = append(parent.entries, f.entry(short, attrFolder, d.first, 0)...)
	return nil
}

// entry is one of a folder.
func (f *formatter) entry(name [11]byte, attributes byte, cluster, size uint32) []byte {
	le := binary.LittleEndian
	e := make([]byte, entryBytes)
	copy(e, name[:])
	e[11] = attributes
	t := time.Unix(f.Time, 0).UTC()
	day := uint16(max(t.Year()-1980, 0)<<9 | int(t.Month())<<5 | t.Day())
	clock := uint16(t.Hour()<<11 | t.Minute()<<5 | t.Second()/2)
	le.PutUint16(e[14:], clock)
	le.PutUint16(e[16:], day)
	le.PutUint16(e[18:], day)
	le.PutUint16(e[20:], uint16(cluster>>16))
	le.PutUint16(e[22:], clock)
	le.PutUint16(e[24:], day)
	le.PutUint16(e[26:], uint16(cluster))
	le.PutUint32(e[28:], size)
	return e
}

// shortName is a name as entries have it.
func shortName(name string) (out [11]byte, err error) {
	base, ext, _ := strings.Cut(strings.ToUpper(name), ".")
	if base == "" || len(base) > 8 || len(ext) > 3 || strings.ContainsAny(base+ext, " .\"*+,/:;<=>?[\\]|") {
		return out, fmt.Errorf("the name %q is not of at most eight letters with an extension of at most three", name)
	}
	copy(out[:], fmt.Sprintf("%-8s%-3s", base, ext))
	return out, nil
}

// tables writes the boot sector, its copy, and both tables.
func (f *formatter) tables() error {
	le := binary.LittleEndian
	b := make([]byte, sectorSize)
	copy(b, []byte{0xeb, 0x58, 0x90})
	copy(b[3:], "IMGFORGE")
	le.PutUint16(b[11:], sectorSize)
	b[13], b[16], b[21] = perCluster, 2, media
	le.PutUint16(b[14:], reserved)
	le.PutUint16(b[24:], 63)
	le.PutUint16(b[26:], 255)
	le.PutUint32(b[32:], uint32(f.Size/sectorSize))
	le.PutUint32(b[36:], uint32(f.perFAT))
	le.PutUint32(b[44:], firstCluster)
	le.PutUint16(b[48:], 1) // of the information below
	le.PutUint16(b[50:], 6) // of the boot sector's copy
	b[64], b[66] = 0x80, 0x29
	le.PutUint32(b[67:], f.ID)
	copy(b[71:], fmt.Sprintf("%-11s%-8s", f.Label, "FAT32"))
	copy(b[510:], []byte{0x55, 0xaa})
	info := make([]byte, sectorSize)
	copy(info, "RRaA")
	copy(info[484:], "rrAa")
	le.PutUint32(info[488:], uint32(len(f.fat))-f.next)
	le.PutUint32(info[492:], f.next)
	copy(info[510:], []byte{0x55, 0xaa})
	table := make([]byte, f.perFAT*sectorSize)
	for i, next := range f.fat[:f.next] {
		le.PutUint32(table[4*i:], next)
	}
	for _, part := range []struct {
		sector int64
		data   []byte
	}{{0, b}, {1, info}, {6, b}, {7, info}, {reserved, table}, {reserved + f.perFAT, table}} {
		if _, err := f.w.WriteAt(part.data, part.sector*sectorSize); err != nil {
			return err
		}
	}
	return nil
}
