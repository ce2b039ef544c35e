package drive

import (
	"encoding/binary"
	"io"
	"io/fs"
	"strings"
	"unicode/utf16"
)

// fat is a FAT12, FAT16 or FAT32 volume.
type fat struct {
	r           io.ReaderAt
	name        string
	bits        int
	table, data int64  // offsets of the first table and of cluster 2
	cluster     int64  // bytes
	clusters    uint32 // number of the last one
	root        uint32 // first cluster of the root folder; 0 where it has a place of its own
	rootAt      int64
	rootSize    int
}

// openFAT reads the boot sector. The kind follows from the number of clusters alone
// (Microsoft FAT specification, "FAT type determination").
func openFAT(r io.ReaderAt) (*fat, error) {
	b, err := at(r, 0, 512)
	if err != nil || b[510] != 0x55 || b[511] != 0xaa {
		return nil, errForeign
	}
	word := func(i int) int64 { return int64(binary.LittleEndian.Uint16(b[i:])) }
	long := func(i int) int64 { return int64(binary.LittleEndian.Uint32(b[i:])) }
	sector, per, reserved, tables, entries := word(11), int64(b[13]), word(14), int64(b[16]), word(17)
	total, size := word(19), word(22)
	if total == 0 {
		total = long(32)
	}
	if size == 0 {
		size = long(36)
	}
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 || per == 0 || per&(per-1) != 0 || reserved == 0 || tables == 0 || tables > 2 || size == 0 {
		return nil, errForeign
	}
	rootSectors := (entries*32 + sector - 1) / sector
	first := reserved + tables*size + rootSectors
	if total <= first {
		return nil, errForeign
	}
	count := (total - first) / per
	v := &fat{r: r, table: reserved * sector, data: first * sector, cluster: per * sector, clusters: uint32(count + 1),
		rootAt: (first - rootSectors) * sector, rootSize: int(entries * 32)}
	label := 43
	switch {
	case count < 4085:
		v.bits = 12
	case count < 65525:
		v.bits = 16
	default:
		v.bits, v.root, label = 32, uint32(long(44)), 71
	}
	v.name = strings.TrimRight(string(b[label:label+11]), " \x00")
	root, err := v.list(extent{folder: true, sector: v.root})
	if err != nil {
		return nil, err
	}
	for _, e := range root {
		if e.isLabel { // tools that rename change this one, and not always the boot sector
			v.name = e.name
		}
	}
	return v, nil
}

func (v *fat) label() string { return v.name }

func (v *fat) read(path string, most int) ([]byte, error) {
	here := extent{folder: true, sector: v.root}
	for _, name := range parts(path) {
		entries, err := v.list(here)
		if err != nil {
			return nil, err
		}
		found := false
		for _, e := range entries {
			if strings.EqualFold(e.name, name) && !e.isLabel {
				here, found = e.extent, true
				break
			}
		}
		if !found {
			return nil, fs.ErrNotExist
		}
	}
	if here.folder {
		return nil, fs.ErrNotExist
	}
	return v.chain(here.sector, min(int(here.size), most))
}

// chain reads size bytes along the clusters from the first on; 0 bytes need none.
func (v *fat) chain(cluster uint32, size int) ([]byte, error) {
	var out []byte
	for len(out) < size {
		if cluster < 2 || cluster > v.clusters {
			return nil, io.ErrUnexpectedEOF
		}
		data, err := at(v.r, v.data+int64(cluster-2)*v.cluster, min(int(v.cluster), size-len(out)))
		if err != nil {
			return nil, err
		}
		out = append(out, data...)
		if cluster, err = v.next(cluster); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// next is the cluster behind one; a number beyond all clusters ends a chain.
func (v *fat) next(cluster uint32) (uint32, error) {
	switch v.bits {
	case 12:
		b, err := at(v.r, v.table+int64(cluster)*3/2, 2)
		if err != nil {
			return 0, err
		}
		return uint32(binary.LittleEndian.Uint16(b)) >> (cluster % 2 * 4) & 0xfff, nil
	case 16:
		b, err := at(v.r, v.table+int64(cluster)*2, 2)
		if err != nil {
			return 0, err
		}
		return uint32(binary.LittleEndian.Uint16(b)), nil
	}
	b, err := at(v.r, v.table+int64(cluster)*4, 4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b) & 0x0fffffff, nil
}

// fatEntry is one name in a folder.
type fatEntry struct {
	extent
	name    string
	isLabel bool
}

// maxName is the most units that a long name takes, in whole entries: 255 and the padding.
const maxName = 20 * 13

// list reads a folder, long names included.
func (v *fat) list(folder extent) ([]fatEntry, error) {
	data, err := v.folder(folder)
	if err != nil {
		return nil, err
	}
	const deleted, longName, isLabel, isFolder = 0xe5, 0x0f, 0x08, 0x10
	var out []fatEntry
	var long []uint16
	for ; len(data) >= 32 && data[0] != 0; data = data[32:] {
		e := data[:32]
		switch {
		case e[0] == deleted:
			long = nil
			continue
		case e[11]&0x3f == longName: // the last part of the name comes first
			long = append(longPart(e), long[:min(len(long), maxName)]...)
			continue
		}
		entry := fatEntry{name: shortName(e), isLabel: e[11]&isLabel != 0}
		if name := longString(long); name != "" {
			entry.name = name
		}
		if entry.isLabel {
			entry.name = strings.TrimRight(string(e[:11]), " ")
		}
		long = nil
		entry.sector = uint32(binary.LittleEndian.Uint16(e[20:]))<<16 | uint32(binary.LittleEndian.Uint16(e[26:]))
		entry.size, entry.folder = binary.LittleEndian.Uint32(e[28:]), e[11]&isFolder != 0
		out = append(out, entry)
	}
	return out, nil
}

// folder is the raw list of a folder, which says nowhere how long it is.
func (v *fat) folder(f extent) ([]byte, error) {
	if f.sector == 0 && v.bits != 32 {
		return at(v.r, v.rootAt, v.rootSize)
	}
	var out []byte
	for cluster := f.sector; cluster >= 2 && cluster <= v.clusters && len(out) < maxFolder; {
		data, err := at(v.r, v.data+int64(cluster-2)*v.cluster, int(v.cluster))
		if err != nil {
			return nil, err
		}
		out = append(out, data...)
		if cluster, err = v.next(cluster); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func shortName(e []byte) string {
	name, end := strings.TrimRight(string(e[:8]), " "), strings.TrimRight(string(e[8:11]), " ")
	if end != "" {
		name += "." + end
	}
	return name
}

// longPart is the 13 units of a name that one entry carries.
func longPart(e []byte) []uint16 {
	var out []uint16
	for _, span := range [][2]int{{1, 11}, {14, 26}, {28, 32}} {
		for i := span[0]; i < span[1]; i += 2 {
			out = append(out, binary.LittleEndian.Uint16(e[i:]))
		}
	}
	return out
}

func longString(units []uint16) string {
	for i, u := range units {
		if u == 0 || u == 0xffff {
			units = units[:i]
			break
		}
	}
	return string(utf16.Decode(units))
}
