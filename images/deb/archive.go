package deb

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// member is one part of the outer archive.
type member struct {
	name string
	data *io.SectionReader
}

// members lists the parts of an ar archive (deb(5)).
func members(r io.ReaderAt, size int64) (out []member, err error) {
	const magic, head = "!<arch>\n", 60
	start := make([]byte, len(magic))
	if _, err := r.ReadAt(start, 0); err != nil || string(start) != magic {
		return nil, errors.New("it is no Debian package: it does not begin as an ar archive")
	}
	for at := int64(len(magic)); at < size; {
		h := make([]byte, head)
		if _, err := r.ReadAt(h, at); err != nil {
			return nil, fmt.Errorf("its archive ends in a header: %w", err)
		}
		length, err := strconv.ParseInt(strings.TrimSpace(string(h[48:58])), 10, 64)
		if err != nil || string(h[58:]) != "`\n" || length < 0 || at+head+length > size {
			return nil, fmt.Errorf("its archive is broken at byte %d", at)
		}
		name := strings.TrimSuffix(strings.TrimSpace(string(h[:16])), "/")
		out = append(out, member{name, io.NewSectionReader(r, at+head, length)})
		at += head + length + length%2
	}
	if len(out) == 0 || out[0].name != "debian-binary" {
		return nil, errors.New("it is no Debian package: its archive does not begin with debian-binary")
	}
	version, err := io.ReadAll(io.LimitReader(out[0].data, 16))
	if err != nil || !bytes.HasPrefix(version, []byte("2.")) {
		return nil, fmt.Errorf("its format %q is not 2.x", bytes.TrimSpace(version))
	}
	return out, nil
}

// plain finds a tar archive by its name without the compression, and unpacks it.
func plain(all []member, name string) (io.ReadCloser, error) {
	for _, m := range all {
		suffix, ok := strings.CutPrefix(m.name, name)
		if !ok {
			continue
		}
		r := io.NewSectionReader(m.data, 0, m.data.Size())
		switch suffix {
		case "":
			return io.NopCloser(r), nil
		case ".gz":
			return gzip.NewReader(r)
		case ".xz":
			x, err := xz.NewReader(r)
			return io.NopCloser(x), err
		case ".zst":
			z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
			if err != nil {
				return nil, err
			}
			return z.IOReadCloser(), nil
		}
		return nil, fmt.Errorf("%s is compressed in a way that is not read: gz, xz and zst are", m.name)
	}
	return nil, fmt.Errorf("it has no %s", name)
}
