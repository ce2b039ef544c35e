package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf16"
)

// volume is what the boot sector says ("FAT: General Overview of On-Disk Format", 3).
type volume struct {
	r                  io.ReaderAt
	sector, cluster    int64 // bytes
	fatAt, rootAt      int64
	dataAt             int64
	rootSize           int64 // of FAT16's fixed root folder, in bytes
	rootCluster, count uint32
	wide               bool // FAT32
}

func open(r io.ReaderAt) (*volume, error) {
	b := make([]byte, 512)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		return nil, err
	}
	le := binary.LittleEndian
	v := &volume{r: r, sector: int64(le.Uint16(b[11:]))}
	perCluster, reserved, fats := int64(b[13]), int64(le.Uint16(b[14:])), int64(b[16])
	if b[510] != 0x55 || b[511] != 0xaa || v.sector < 512 || v.sector > 4096 || v.sector&(v.sector-1) != 0 || perCluster == 0 || perCluster&(perCluster-1) != 0 || fats == 0 || fats > 2 {
		return nil, errors.New("there is no FAT file system")
	}
	perFAT, total := int64(le.Uint16(b[22:])), int64(le.Uint16(b[19:]))
	if perFAT == 0 {
		perFAT, v.wide = int64(le.Uint32(b[36:])), true
		v.rootCluster = le.Uint32(b[44:])
	}
	if total == 0 {
		total = int64(le.Uint32(b[32:]))
	}
	v.cluster = perCluster * v.sector
	v.rootSize = int64(le.Uint16(b[17:])) * 32
	v.fatAt = reserved * v.sector
	v.rootAt = v.fatAt + fats*perFAT*v.sector
	v.dataAt = v.rootAt + (v.rootSize+v.sector-1)/v.sector*v.sector
	clusters := (total*v.sector - v.dataAt) / v.cluster
	if clusters < 4085 || clusters > 1<<28 {
		return nil, fmt.Errorf("its FAT file system of %d clusters is not known", clusters)
	}
	v.count = uint32(clusters)
	return v, nil
}

// entry is what a folder says of a file or folder.
type entry struct {
	cluster uint32
	size    int64 // of a file, in bytes
	folder  bool
}

// Exists tells whether there is a file or folder of a path, with slashes. Names are
// compared without regard to case, as everybody does on FAT.
func Exists(r io.ReaderAt, path string) (bool, error) {
	_, _, err := lookUp(r, path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", path, err)
	}
	return true, nil
}

// Read reads a whole file. The path is as [Exists] takes it; the error of one that is
// not there is [fs.ErrNotExist].
func Read(r io.ReaderAt, path string) ([]byte, error) {
	v, e, err := lookUp(r, path)
	if err == nil && e.folder {
		err = errors.New("it is a folder")
	}
	var data []byte
	if err == nil && e.size > 0 {
		data, err = v.chain(e.cluster, min(e.size, int64(v.count)*v.cluster))
	}
	if err == nil && int64(len(data)) < e.size {
		err = fmt.Errorf("%d of its %d bytes are there: it is damaged", len(data), e.size)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data[:e.size], nil
}

func lookUp(r io.ReaderAt, path string) (*volume, entry, error) {
	v, err := open(r)
	if err != nil {
		return nil, entry{}, err
	}
	at, root := entry{cluster: v.rootCluster, folder: true}, true
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if !at.folder {
			return nil, at, fs.ErrNotExist
		}
		data, err := v.folder(at.cluster, root)
		if err != nil {
			return nil, at, err
		}
		next, ok := find(data, name)
		if !ok {
			return nil, at, fs.ErrNotExist
		}
		at, root = next, false
	}
	return v, at, nil
}

// maxFolder is more than the format allows a folder to have, in bytes.
const maxFolder = 65536 * 32

// folder reads a whole folder.
func (v *volume) folder(start uint32, root bool) ([]byte, error) {
	if root && !v.wide {
		return v.read(v.rootAt, v.rootSize)
	}
	all, err := v.chain(start, maxFolder+1)
	if err == nil && len(all) > maxFolder {
		err = errors.New("one of its folders has no end: it is damaged")
	}
	return all, err
}

// chain reads the clusters from one on, until it has as many bytes as are enough or
// they end.
func (v *volume) chain(start uint32, enough int64) ([]byte, error) {
	var all []byte
	for at := start; ; {
		if at < 2 || at-2 >= v.count {
			return nil, fmt.Errorf("it refers to cluster %d of %d: it is damaged", at, v.count)
		}
		data, err := v.read(v.dataAt+int64(at-2)*v.cluster, v.cluster)
		if err != nil {
			return nil, err
		}
		if all = append(all, data...); int64(len(all)) >= enough {
			return all, nil
		}
		last := uint32(0xfff8)
		if v.wide {
			last = 0x0ffffff8
		}
		if at, err = v.next(at); err != nil || at >= last {
			return all, err
		}
	}
}

func (v *volume) next(at uint32) (uint32, error) {
	if v.wide {
		b, err := v.read(v.fatAt+4*int64(at), 4)
		if err != nil {
			return 0, err
		}
		return binary.LittleEndian.Uint32(b) & 0x0fffffff, nil
	}
	b, err := v.read(v.fatAt+2*int64(at), 2)
	if err != nil {
		return 0, err
	}
	return uint32(binary.LittleEndian.Uint16(b)), nil
}

func (v *volume) read(at, size int64) ([]byte, error) {
	b := make([]byte, size)
	if n, err := v.r.ReadAt(b, at); int64(n) < size {
		return nil, err
	}
	return b, nil
}

// find looks an entry up by its long or its short name.
func find(data []byte, name string) (_ entry, ok bool) {
	long := ""
	for ; len(data) >= 32 && data[0] != 0; data = data[32:] {
		e := data[:32]
		switch {
		case e[0] == 0xe5:
			long = ""
			continue
		case e[11] == 0x0f: // a part of a long name; the parts come last first
			if e[0]&0x40 != 0 {
				long = ""
			}
			long = part(e) + long
			continue
		case e[11]&0x08 != 0: // the volume's label
			long = ""
			continue
		}
		short := strings.TrimRight(string(e[:8]), " ")
		if ext := strings.TrimRight(string(e[8:11]), " "); ext != "" {
			short += "." + ext
		}
		if strings.EqualFold(long, name) || strings.EqualFold(short, name) {
			le := binary.LittleEndian
			return entry{uint32(le.Uint16(e[20:]))<<16 | uint32(le.Uint16(e[26:])), int64(le.Uint32(e[28:])), e[11]&0x10 != 0}, true
		}
		long = ""
	}
	return entry{}, false
}

// part is the piece of a long name that an entry holds.
func part(e []byte) string {
	var units []uint16
	for _, at := range [...]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
		u := binary.LittleEndian.Uint16(e[at:])
		if u == 0 || u == 0xffff {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}
