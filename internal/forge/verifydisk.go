package forge

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/internal/artifact"
)

// disks checks what disk images hold: the digest of the disk itself, that extension
// and bundle are those beside them, and in the public part that no secret is inside.
func (v *Verification) disks(dir string, secrets [][]byte) error {
	public, err := artifact.ReadManifest(dir, artifact.Public)
	if err != nil {
		return nil // which is a problem already
	}
	sums := map[string]string{}
	for _, f := range public.Files {
		sums[f.Kind] = f.SHA256
	}
	finder := artifact.NewFinder(secrets)
	count := 0
	for _, part := range []string{artifact.Public, artifact.Secret} {
		m, err := artifact.ReadManifest(dir, part)
		if err != nil {
			continue
		}
		for _, f := range m.Files {
			if f.Disk == nil {
				continue
			}
			count++
			if err := v.disk(filepath.Join(dir, part), part+"/"+f.Path, f, finder); err != nil {
				return err
			}
			if f.Disk.Sysext != sums["sysext"] || f.Disk.Bundle != sums["bundle"] {
				v.Problems = append(v.Problems, part+"/"+f.Path+": it has another extension or bundle inside than those of "+artifact.Public)
			}
		}
	}
	if count > 0 {
		v.did("%s: what is inside was checked against the digests of the disks", Counted(count, "disk image"))
	}
	return nil
}

// disk reads one disk image to its end.
func (v *Verification) disk(dir, name string, f artifact.Entry, finder *artifact.Finder) error {
	bad := func(format string, args ...any) {
		v.Problems = append(v.Problems, name+": "+fmt.Sprintf(format, args...))
	}
	r, err := disk.Stream(filepath.Join(dir, filepath.FromSlash(f.Path)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // found missing before
	}
	if err != nil {
		bad("%v", err)
		return nil
	}
	defer r.Close()
	if dir := filepath.Base(dir); dir == artifact.Public && !f.Disk.Sealed {
		bad("it is not sealed: it belongs into %s", artifact.Secret)
	}
	s := &diskScan{finder: finder, stream: finder.Begin(), found: map[int]bool{}}
	sum, size, err := s.run(r)
	switch {
	case err != nil:
		bad("%v", err)
	case size != f.Disk.Size:
		bad("its disk has %d bytes, the manifest says %d", size, f.Disk.Size)
	case sum != f.Disk.SHA256:
		bad("the sha256 of its disk is %s, the manifest says %s", sum, f.Disk.SHA256)
	}
	if f.Disk.Sealed && len(s.found) > 0 {
		bad("it holds %s of the store: do not publish this folder, build it again and report this as a defect", Counted(len(s.found), "secret"))
	}
	return nil
}

// diskScan searches a disk while it is read: its bytes, and the files of every
// first-boot configuration on it, which are packed inside.
type diskScan struct {
	finder *artifact.Finder
	stream *artifact.FinderStream
	found  map[int]bool
}

const (
	// diskBlock is what every file begins at a multiple of, on ISO 9660 and on disks.
	diskBlock = 2048
	// maxConfig is more than any configuration has, in bytes.
	maxConfig = 16 << 20
)

func (s *diskScan) run(r io.Reader) (sum string, size int64, err error) {
	in := bufio.NewReaderSize(r, maxConfig)
	h := sha256.New()
	zeros := make([]byte, diskBlock)
	for {
		block, err := in.Peek(diskBlock)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", size, err
		}
		if len(block) == 0 {
			break
		}
		h.Write(block)
		size += int64(len(block))
		if !bytes.Equal(block, zeros[:len(block)]) {
			s.stream.Write(block) // never fails
			if beginsConfig(block) {
				rest, err := in.Peek(maxConfig)
				if err != nil && !errors.Is(err, io.EOF) {
					return "", size, err
				}
				s.config(rest)
			}
		}
		if _, err := in.Discard(len(block)); err != nil {
			return "", size, err
		}
	}
	s.note(s.stream.Found())
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

func (s *diskScan) note(found []int) {
	for _, i := range found {
		s.found[i] = true
	}
}

// beginsConfig tells by its first bytes what package payload writes.
func beginsConfig(block []byte) bool {
	return bytes.HasPrefix(block, []byte(`{"ignition"`)) || bytes.HasPrefix(block, []byte("#cloud-config")) || bytes.HasPrefix(block, []byte("Content-Type: multipart/"))
}

// config searches the files of a configuration that begins where data does.
func (s *diskScan) config(data []byte) {
	for _, inner := range expand("", wholeConfig(data)) {
		stream := s.finder.Begin()
		stream.Write(inner) // never fails
		s.note(stream.Found())
	}
}

// wholeConfig is the configuration without what follows on the disk.
func wholeConfig(data []byte) []byte {
	if data[0] != '{' {
		text, _, _ := bytes.Cut(data, []byte{0})
		return text
	}
	var config json.RawMessage
	if json.NewDecoder(bytes.NewReader(data)).Decode(&config) != nil {
		return nil
	}
	return config
}
