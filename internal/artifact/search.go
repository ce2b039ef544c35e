package artifact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"
)

// search finds any of many secrets in a stream in one pass. A cluster of 1,000
// nodes has more than 10,000 keys: a pass for each would take hours.
type search struct {
	// raw is looked for in the bytes as they are; dense in the bytes without white
	// space and written-out line feeds, which finds what JSON or YAML wrapped.
	raw, dense index
	// searched counts the secrets looked for, short those that are too short to be.
	searched, short int
}

// minSecret is the least number of bytes that is not found by chance.
const minSecret = 6

// newSearch prepares the forms in which each secret may show up: itself, its hex
// and its base64 in each alignment, and for PEM the key inside it.
func newSearch(secrets [][]byte) *search {
	s := &search{}
	for i, secret := range secrets {
		secret = bytes.TrimSpace(secret)
		if len(secret) < minSecret {
			s.short++
			continue
		}
		s.searched++
		for _, form := range secretForms(secret) {
			s.raw.add(i, form)
			var q squeezer
			s.dense.add(i, q.squeeze(nil, form))
		}
	}
	s.raw.prepare()
	s.dense.prepare()
	return s
}

// secretForms are the byte strings that give a secret away. The text of a PEM
// file is not one of them: its first and last line are in every such file, and
// the base64 of its key, which is, stands for it.
func secretForms(secret []byte) [][]byte {
	out := base64Forms(secret)
	plain := true
	for rest := secret; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.Contains(block.Type, "PRIVATE") && len(block.Bytes) >= minSecret {
			plain = false
			out = append(out, block.Bytes, []byte(hex.EncodeToString(block.Bytes)))
			out = append(out, base64Forms(block.Bytes)...)
		}
	}
	if plain {
		out = append(out, secret, []byte(hex.EncodeToString(secret)))
	}
	return out
}

// base64Forms are what any base64 of something around secret must contain: for
// each of the three alignments the digits that depend on the secret alone.
func base64Forms(secret []byte) [][]byte {
	var out [][]byte
	for shift := range 3 {
		padded := append(make([]byte, shift), secret...)
		first := (shift*8 + 5) / 6 // after the digits that hold bits of what is before
		last := len(padded) * 8 / 6
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			digits := []byte(enc.EncodeToString(padded))[first:last]
			if len(digits) >= minSecret && !slices.ContainsFunc(out, func(o []byte) bool { return bytes.Equal(o, digits) }) {
				out = append(out, digits)
			}
		}
	}
	return out
}

// squeezer drops white space and the two characters \n, \r and \t that stand for
// it in JSON. held carries a backslash from one chunk to the next.
type squeezer struct{ held bool }

func (q *squeezer) squeeze(dst, src []byte) []byte {
	for _, b := range src {
		if q.held {
			q.held = false
			if b == 'n' || b == 'r' || b == 't' {
				continue
			}
			dst = append(dst, '\\')
		}
		switch b {
		case ' ', '\t', '\r', '\n':
		case '\\':
			q.held = true
		default:
			dst = append(dst, b)
		}
	}
	return dst
}

// index holds patterns by the rolling hash of their last width bytes (Rabin and
// Karp), behind a bitmap that rejects nearly every position with one look.
type index struct {
	patterns [][]byte
	owner    []int
	width    int // the shortest pattern
	longest  int
	top      uint64 // hashBase to the power of width
	byHash   map[uint64][]int
	bitmap   []uint64
}

const (
	hashBase   = 0x9e3779b97f4a7c15 // odd, so that every power is invertible
	bitmapBits = 20
)

func (x *index) add(owner int, pattern []byte) {
	if len(pattern) == 0 {
		return
	}
	x.patterns = append(x.patterns, pattern)
	x.owner = append(x.owner, owner)
}

func (x *index) prepare() {
	if len(x.patterns) == 0 {
		return
	}
	x.width = len(x.patterns[0])
	for _, p := range x.patterns {
		x.width, x.longest = min(x.width, len(p)), max(x.longest, len(p))
	}
	x.top = 1
	for range x.width {
		x.top *= hashBase
	}
	x.byHash = make(map[uint64][]int, len(x.patterns))
	x.bitmap = make([]uint64, 1<<bitmapBits/64)
	for i, p := range x.patterns {
		var h uint64
		for _, b := range p[len(p)-x.width:] {
			h = h*hashBase + uint64(b) + 1
		}
		x.byHash[h] = append(x.byHash[h], i)
		bit := h >> (64 - bitmapBits)
		x.bitmap[bit/64] |= 1 << (bit % 64)
	}
}

// scan is one stream being searched.
type scan struct {
	squeezer   squeezer
	buf        []byte
	raw, dense cursor
}

func (s *search) begin() *scan {
	return &scan{raw: cursor{index: &s.raw}, dense: cursor{index: &s.dense}}
}

// Write never fails.
func (s *scan) Write(p []byte) (int, error) {
	s.raw.feed(p)
	s.buf = s.squeezer.squeeze(s.buf[:0], p)
	s.dense.feed(s.buf)
	return len(p), nil
}

// found are the secrets seen so far, by number, sorted.
func (s *scan) found() []int {
	seen := append(slices.Clone(s.raw.hits), s.dense.hits...)
	slices.Sort(seen)
	return slices.Compact(seen)
}

// cursor is the state of one index in one stream.
type cursor struct {
	index *index
	tail  []byte // the last bytes of the stream, enough for the longest pattern
	hash  uint64
	hits  []int
}

func (c *cursor) feed(p []byte) {
	x := c.index
	if len(x.patterns) == 0 {
		return
	}
	start := len(c.tail)
	c.tail = append(c.tail, p...)
	for i := start; i < len(c.tail); i++ {
		c.hash = c.hash*hashBase + uint64(c.tail[i]) + 1
		if i >= x.width {
			c.hash -= (uint64(c.tail[i-x.width]) + 1) * x.top
		}
		bit := c.hash >> (64 - bitmapBits)
		if x.bitmap[bit/64]&(1<<(bit%64)) == 0 {
			continue
		}
		for _, n := range x.byHash[c.hash] {
			if bytes.HasSuffix(c.tail[:i+1], x.patterns[n]) && !slices.Contains(c.hits, x.owner[n]) {
				c.hits = append(c.hits, x.owner[n])
			}
		}
	}
	if keep := x.longest; len(c.tail) > keep {
		c.tail = append(c.tail[:0], c.tail[len(c.tail)-keep:]...)
	}
}
