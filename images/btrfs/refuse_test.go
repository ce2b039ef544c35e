package btrfs

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/sparse"
)

func TestRefused(t *testing.T) {
	whole, err := os.ReadFile(made(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	resealed := func(change func(super []byte)) func([]byte) {
		return func(b []byte) { change(b[superAt:]); seal(b[superAt : superAt+superSize]) }
	}
	for name, tc := range map[string]struct {
		change func([]byte)
		want   string
	}{
		"none":     {func(b []byte) { clear(b[superAt : superAt+superSize]) }, "there is none: no superblock"},
		"damaged":  {func(b []byte) { b[superAt+300] ^= 1 }, "the checksum of its superblock is wrong"},
		"node":     {func(b []byte) { clear(b[1<<20 : 64<<20]) }, "the image is damaged, get it again"},
		"devices":  {resealed(func(s []byte) { le.PutUint64(s[superDevices:], 2) }), "it lies on 2 devices"},
		"apart":    {resealed(func(s []byte) { s[superIncompat] &^= incompatMixed }), "its data and metadata are apart"},
		"features": {resealed(func(s []byte) { s[superIncompat+1] |= 4 }), "not all are known"},
		"dirty":    {resealed(func(s []byte) { s[superLogRoot] = 1 }), "it was not unmounted cleanly"},
		"size":     {resealed(func(s []byte) { le.PutUint64(s[superTotal:], 1<<40) }), "its partition has 134217728"},
		"sums":     {resealed(func(s []byte) { s[superChecksum] = 2 }), "of type 2"},
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(whole)
			tc.change(b)
			if _, err := Read(sparse.Bytes(b)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// Whatever is read can be laid out again, or is refused; nothing runs for ever.
func FuzzRead(f *testing.F) {
	whole, err := os.ReadFile(made(f, ""))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(superAt+superNode), uint32(0), byte(1))
	f.Add(uint32(5<<20), uint32(200), byte(9))
	f.Fuzz(func(t *testing.T, at, within uint32, value byte) {
		b := bytes.Clone(whole)
		// A change anywhere in the superblock or in a node, with its checksum made right.
		if at%2 == 0 {
			s := b[superAt : superAt+superSize]
			s[32+within%(superSize-32)] ^= value
			seal(s)
		} else {
			n := b[uint64(at)%(uint64(len(b))/4096)*4096:][:4096]
			n[32+within%4064] ^= value
			seal(n)
		}
		fs, err := Read(sparse.Bytes(b))
		if err != nil {
			return
		}
		if err := fs.Add(File{Name: "f", Contents: make([]byte, 5000)}); err == nil {
			fs.Content() // may refuse
		}
	})
}
