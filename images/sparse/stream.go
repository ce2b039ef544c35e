package sparse

import (
	"errors"
	"fmt"
	"io"
)

// Stream is content that is made while it is read, once per use from its beginning.
type Stream struct {
	size   int64
	encode func(io.Writer) error

	reader *io.PipeReader
	at     int64
}

// NewStream is the content that encode writes: exactly size bytes. It is read
// forward; a jump back runs encode again. The caller closes it.
func NewStream(size int64, encode func(io.Writer) error) *Stream {
	return &Stream{size: size, encode: encode}
}

// Size is the number of bytes.
func (s *Stream) Size() int64 { return s.size }

// Next holds the stream to have no holes.
func (s *Stream) Next(offset int64) (int64, int64, error) { return min(offset, s.size), s.size, nil }

// Close ends the encoder that still runs.
func (s *Stream) Close() error {
	if s.reader == nil {
		return nil
	}
	err := s.reader.Close()
	s.reader = nil
	return err
}

// ReadAt reads on, or begins again where at lies behind.
func (s *Stream) ReadAt(p []byte, at int64) (int, error) {
	if at >= s.size {
		return 0, io.EOF
	}
	if s.reader == nil || at < s.at {
		s.Close()
		r, w := io.Pipe()
		s.reader, s.at = r, 0
		go func() { w.CloseWithError(s.encode(w)) }()
	}
	if _, err := io.CopyN(io.Discard, s.reader, at-s.at); err != nil {
		return 0, s.wrong(err)
	}
	s.at = at
	want := int(min(int64(len(p)), s.size-at))
	n, err := io.ReadFull(s.reader, p[:want])
	s.at += int64(n)
	if err != nil {
		return n, s.wrong(err)
	}
	if s.at == s.size { // the encoder must be at its end, too
		if k, err := s.reader.Read(make([]byte, 1)); k > 0 || !errors.Is(err, io.EOF) {
			if err == nil {
				err = fmt.Errorf("it has more than the %d bytes announced", s.size)
			}
			return 0, err
		}
	}
	if want < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s *Stream) wrong(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it has fewer than the %d bytes announced", s.size)
	}
	return err
}
