package drive

import (
	"encoding/binary"
	"io"
	"io/fs"
	"strings"
	"unicode/utf16"
)

const isoSector = 2048

// iso is an ISO 9660 volume. Names are those of Joliet where it has them, else of Rock
// Ridge, else its own without version and in lower case.
type iso struct {
	r      io.ReaderAt
	name   string
	root   extent
	joliet bool
}

// extent is where a file or folder lies.
type extent struct {
	sector, size uint32
	folder       bool
}

// openISO reads the volume descriptors, which begin at sector 16 (ECMA-119, 6.7.1).
func openISO(r io.ReaderAt) (*iso, error) {
	const primary, supplementary, terminator = 1, 2, 255
	var v *iso
	for n := int64(16); n < 32; n++ {
		d, err := at(r, n*isoSector, isoSector)
		if err != nil || string(d[1:6]) != "CD001" || d[0] == terminator {
			break
		}
		root := extent{binary.LittleEndian.Uint32(d[158:]), binary.LittleEndian.Uint32(d[166:]), true}
		switch {
		case d[0] == primary && v == nil:
			v = &iso{r: r, name: strings.TrimRight(string(d[40:72]), " \x00"), root: root}
		case d[0] == supplementary && v != nil && d[88] == '%' && d[89] == '/': // escape sequences of UCS-2
			v.root, v.joliet = root, true
		}
	}
	if v == nil {
		return nil, errForeign
	}
	return v, nil
}

func (v *iso) label() string { return v.name }

func (v *iso) read(path string, most int) ([]byte, error) {
	here := v.root
	for _, name := range parts(path) {
		next, err := v.find(here, name)
		if err != nil {
			return nil, err
		}
		here = next
	}
	if here.folder {
		return nil, fs.ErrNotExist
	}
	return at(v.r, int64(here.sector)*isoSector, min(int(here.size), most))
}

// find looks a name up in a folder. A record never crosses a sector (ECMA-119, 6.8.1.1).
func (v *iso) find(folder extent, name string) (extent, error) {
	if !folder.folder || folder.size > maxFolder {
		return extent{}, fs.ErrNotExist
	}
	data, err := at(v.r, int64(folder.sector)*isoSector, int(folder.size))
	if err != nil {
		return extent{}, err
	}
	for len(data) > 0 {
		size := int(data[0])
		if size == 0 { // the rest of the sector is empty
			data = data[min(len(data), (len(data)-1)%isoSector+1):]
			continue
		}
		if size < 34 || size > len(data) || 33+int(data[32]) > size {
			return extent{}, errForeign
		}
		if v.nameOf(data[:size]) == name {
			return extent{binary.LittleEndian.Uint32(data[2:]), binary.LittleEndian.Uint32(data[10:]), data[25]&2 != 0}, nil
		}
		data = data[size:]
	}
	return extent{}, fs.ErrNotExist
}

// nameOf is what a record calls its file.
func (v *iso) nameOf(record []byte) string {
	length := int(record[32])
	id := record[33 : 33+length]
	if v.joliet {
		var units []uint16
		for i := 0; i+1 < len(id); i += 2 {
			units = append(units, binary.BigEndian.Uint16(id[i:]))
		}
		name, _, _ := strings.Cut(string(utf16.Decode(units)), ";")
		return name
	}
	if name := rockRidge(record[min(len(record), 33+length+(length+1)%2):]); name != "" {
		return name
	}
	name, _, _ := strings.Cut(string(id), ";")
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// rockRidge finds the NM entries among those of the system use area.
func rockRidge(area []byte) string {
	var name strings.Builder
	for len(area) > 4 {
		size := int(area[2])
		if size < 4 || size > len(area) {
			break
		}
		if string(area[:2]) == "NM" && size > 5 {
			name.Write(area[5:size])
		}
		area = area[size:]
	}
	return name.String()
}
