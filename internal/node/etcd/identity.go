package etcd

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ID names a member or a cluster. It prints as etcdctl prints it; etcd's JSON
// carries it as a decimal string, for JavaScript's numbers are too short.
type ID uint64

func (i ID) String() string { return strconv.FormatUint(uint64(i), 16) }

// MarshalText writes the decimal form.
func (i ID) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(i), 10), nil }

// UnmarshalText reads the decimal form.
func (i *ID) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("read id %q: %w", text, err)
	}
	*i = ID(n)
	return nil
}

// foundingID is the id of the cluster that etcd makes of these members and this
// token. etcd derives it from both, so that it is known before anything runs, and a
// member never changes it: membership changes keep the cluster's id.
func foundingID(token string, urls []string) ID {
	ids := make([]uint64, len(urls))
	for i, url := range urls {
		ids[i] = firstEight(url + token)
	}
	slices.Sort(ids)
	var b strings.Builder
	for _, id := range ids {
		var word [8]byte
		binary.BigEndian.PutUint64(word[:], id)
		b.Write(word[:])
	}
	return ID(firstEight(b.String()))
}

// firstEight is etcd's hash, which names things and protects nothing.
func firstEight(text string) uint64 {
	sum := sha1.Sum([]byte(text))
	return binary.BigEndian.Uint64(sum[:8])
}
