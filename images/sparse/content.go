package sparse

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// Content is a run of bytes with holes. ReadAt follows io.ReaderAt.
type Content interface {
	io.ReaderAt
	// Size is the number of bytes, holes included.
	Size() int64
	// Next is the first run at or after offset that may hold something else than
	// zeros. from is Size when there is none.
	Next(offset int64) (from, to int64, err error)
}

// Bytes is content in memory.
func Bytes(data []byte) Content { return plain{bytes.NewReader(data)} }

type plain struct{ *bytes.Reader }

func (p plain) Next(offset int64) (int64, int64, error) { return min(offset, p.Size()), p.Size(), nil }

// Section is part of a content.
func Section(c Content, offset, size int64) (Content, error) {
	if offset < 0 || size < 0 || offset > c.Size()-size {
		return nil, fmt.Errorf("bytes %d to %d are outside of the %d there are", offset, offset+size, c.Size())
	}
	return &section{c, offset, size}, nil
}

type section struct {
	of           Content
	offset, size int64
}

func (s *section) Size() int64 { return s.size }

func (s *section) ReadAt(p []byte, at int64) (int, error) {
	return readWithin(s.of, p, at, s.offset, s.size)
}

func (s *section) Next(offset int64) (int64, int64, error) {
	if offset >= s.size {
		return s.size, s.size, nil
	}
	from, to, err := s.of.Next(s.offset + offset)
	return min(max(from-s.offset, offset), s.size), min(to-s.offset, s.size), err
}

// readWithin reads at of a window of a reader, and io.EOF at its end.
func readWithin(r io.ReaderAt, p []byte, at, offset, size int64) (int, error) {
	if at < 0 || at >= size {
		return 0, io.EOF
	}
	short := int64(len(p)) > size-at
	if short {
		p = p[:size-at]
	}
	n, err := r.ReadAt(p, offset+at)
	if n == len(p) {
		err = nil
		if short {
			err = io.EOF
		}
	} else if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Piece is content at an offset of a disk.
type Piece struct {
	At int64
	Content
}

// Join lays pieces out on a disk of size bytes. Between them are holes. Pieces may
// not overlap.
func Join(size int64, pieces ...Piece) (Content, error) {
	j := &joined{size: size}
	for _, p := range pieces {
		if p.Size() > 0 {
			j.pieces = append(j.pieces, p)
		}
	}
	slices.SortFunc(j.pieces, func(a, b Piece) int { return int(min(max(a.At-b.At, -1), 1)) })
	end := int64(0)
	for _, p := range j.pieces {
		if p.At < end || p.At > size-p.Size() {
			return nil, fmt.Errorf("the layout is wrong: bytes %d to %d of %d, after %d", p.At, p.At+p.Size(), size, end)
		}
		end = p.At + p.Size()
	}
	return j, nil
}

type joined struct {
	size   int64
	pieces []Piece
}

func (j *joined) Size() int64 { return j.size }

// piece is the first that ends after offset.
func (j *joined) piece(offset int64) int {
	i, _ := slices.BinarySearchFunc(j.pieces, offset, func(p Piece, at int64) int {
		if p.At+p.Size() <= at {
			return -1
		}
		return 1
	})
	return i
}

func (j *joined) Next(offset int64) (int64, int64, error) {
	for i := j.piece(offset); i < len(j.pieces); i++ {
		p := j.pieces[i]
		from, to, err := p.Next(max(offset-p.At, 0))
		if err != nil || from < p.Size() {
			return p.At + from, p.At + to, err
		}
	}
	return j.size, j.size, nil
}

func (j *joined) ReadAt(buf []byte, at int64) (int, error) {
	if at < 0 || at >= j.size {
		return 0, io.EOF
	}
	want := int(min(int64(len(buf)), j.size-at))
	clear(buf[:want])
	for i := j.piece(at); i < len(j.pieces) && j.pieces[i].At < at+int64(want); i++ {
		p := j.pieces[i]
		from, to := max(p.At, at), min(p.At+p.Size(), at+int64(want))
		if _, err := p.ReadAt(buf[from-at:to-at], from-p.At); err != nil && err != io.EOF {
			return 0, err
		}
	}
	if want < len(buf) {
		return want, io.EOF
	}
	return want, nil
}
