package squashfs

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
)

// attributes are the sets of extended attributes. Entries with the same set share it.
type attributes struct {
	values *meta // names and values
	known  map[string]uint32
	ids    []byte
}

// prefixOf splits the name of an attribute into the number of its prefix and the rest.
func prefixOf(name string) (kind uint16, rest string) {
	for i, prefix := range [...]string{"user.", "trusted.", "security."} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return uint16(i), rest
		}
	}
	return 0, ""
}

// set is the number of a set.
func (a *attributes) set(xattrs map[string]string) uint32 {
	if len(xattrs) == 0 {
		return noXattr
	}
	le := binary.LittleEndian
	var data []byte
	for _, name := range slices.Sorted(maps.Keys(xattrs)) {
		kind, rest := prefixOf(name)
		data = le.AppendUint16(data, kind)
		data = le.AppendUint16(data, uint16(len(rest)))
		data = append(data, rest...)
		data = le.AppendUint32(data, uint32(len(xattrs[name])))
		data = append(data, xattrs[name]...)
	}
	if n, ok := a.known[string(data)]; ok {
		return n
	}
	block, offset := a.values.at()
	a.ids = le.AppendUint64(a.ids, uint64(block)<<16|uint64(offset))
	a.ids = le.AppendUint32(a.ids, uint32(len(xattrs)))
	a.ids = le.AppendUint32(a.ids, uint32(len(data)))
	a.values.add(data)
	n := uint32(len(a.known))
	a.known[string(data)] = n
	return n
}
