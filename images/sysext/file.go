package sysext

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"
)

// File is a file or symbolic link of an extension.
type File struct {
	Path string      // relative, such as usr/bin/kubelet
	Mode fs.FileMode // permission bits; 0 means 0644
	// Target makes it a symbolic link; what follows is then unused.
	Target string
	Size   int64
	// SHA256 is the digest of the contents in lower-case hex. Other bytes end the build.
	SHA256 string
	Open   func() (io.ReadCloser, error)
	// Origin names what it comes from, such as a package and its version, for lists of
	// what is inside.
	Origin string
}

// Bytes makes a File of contents in memory.
func Bytes(path string, mode fs.FileMode, data []byte) File {
	sum := sha256.Sum256(data)
	return File{Path: path, Mode: mode, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
}

// check refuses places that a merged extension would break a system with.
func (f File) check() error {
	allowed := false
	for _, folder := range []string{"usr/bin/", "usr/lib/imgforge/", "usr/lib/systemd/system/", "usr/lib/extension-release.d/"} {
		allowed = allowed || strings.HasPrefix(f.Path, folder)
	}
	switch {
	case !allowed:
		// usr/sbin and usr/lib64 are links on some systems, and a folder would hide
		// them; opt would become read-only.
		return fmt.Errorf("%q cannot be in an extension: only what lies below usr/bin, usr/lib/imgforge and usr/lib/systemd/system can", f.Path)
	case f.Target == "" && len(f.SHA256) != 2*sha256.Size:
		return fmt.Errorf("%q has no SHA-256 to check it by", f.Path)
	case f.Mode&^fs.ModePerm != 0:
		return fmt.Errorf("%q has the mode %v, but an extension has permission bits only", f.Path, f.Mode)
	}
	return nil
}

// verified opens a file so that reading it to its end fails unless its digest is right.
func (f File) verified() (io.ReadCloser, error) {
	if f.Open == nil {
		return nil, errors.New("there is nothing to read it from")
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	return &verifier{r: r, h: sha256.New(), want: f.SHA256}, nil
}

type verifier struct {
	r    io.ReadCloser
	h    hash.Hash
	want string
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.h.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if got := hex.EncodeToString(v.h.Sum(nil)); got != v.want {
			return n, fmt.Errorf("its SHA-256 is %s, not %s", got, v.want)
		}
	}
	return n, err
}

func (v *verifier) Close() error { return v.r.Close() }
