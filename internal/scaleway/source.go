package scaleway

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// The size of a part. Object Storage takes at most maxParts of them, fewer than other
// servers of its protocol, and each but the last has to have at least 5 MiB.
const (
	partSize = 64 << 20
	maxParts = 1000
)

// Source is a file that is uploaded, cut into parts whose checksums are known.
type Source struct {
	File   io.ReaderAt
	Size   int64  // bytes
	SHA256 string // hex, of the whole file
	Step   int64  // bytes of each part but the last
	Parts  []Part
}

// Part is the checksums of one part, in hex.
type Part struct{ MD5, SHA256 string }

// Cut reads a file once. Step is the size of a part in bytes; 0 leaves it to imgforge.
func Cut(f io.ReaderAt, size, step int64) (*Source, error) {
	if size <= 0 {
		return nil, fmt.Errorf("the file is empty")
	}
	if step == 0 {
		step = max(partSize, (size+maxParts-1)/maxParts)
	}
	s := &Source{File: f, Size: size, Step: step}
	whole := sha256.New()
	for from := int64(0); from < size; from += step {
		m, h := md5.New(), sha256.New()
		if _, err := io.Copy(io.MultiWriter(whole, m, h), io.NewSectionReader(f, from, min(step, size-from))); err != nil {
			return nil, err
		}
		s.Parts = append(s.Parts, Part{MD5: hex.EncodeToString(m.Sum(nil)), SHA256: hex.EncodeToString(h.Sum(nil))})
	}
	s.SHA256 = hex.EncodeToString(whole.Sum(nil))
	return s, nil
}

// part is where a part, counted from 1, lies in the file.
func (s *Source) part(number int) (p Part, from, size int64) {
	from = int64(number-1) * s.Step
	return s.Parts[number-1], from, min(s.Step, s.Size-from)
}

// ETag is what a bucket calls the object that these parts make.
func (s *Source) ETag() string {
	m := md5.New()
	for _, p := range s.Parts {
		sum, _ := hex.DecodeString(p.MD5)
		m.Write(sum)
	}
	return fmt.Sprintf("%s-%d", hex.EncodeToString(m.Sum(nil)), len(s.Parts))
}
