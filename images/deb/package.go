package deb

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Package is a Debian package whose digest was right.
type Package struct {
	// Control are the fields of its control file by name, such as Package, Version,
	// Architecture and Depends. Lines of a folded field are joined by newlines.
	Control map[string]string
	members []member
}

// Open verifies a package of size bytes against its SHA-256, in lower-case hex, and
// reads its control data. r is read again by [Package.Walk].
func Open(r io.ReaderAt, size int64, sum string) (*Package, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(r, 0, size)); err != nil {
		return nil, fmt.Errorf("read Debian package: %w", err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sum {
		return nil, fmt.Errorf("the Debian package has the SHA-256 %s, not %s: fetch it again", got, sum)
	}
	all, err := members(r, size)
	if err != nil {
		return nil, fmt.Errorf("read Debian package: %w", err)
	}
	p := &Package{members: all}
	if p.Control, err = control(all); err != nil {
		return nil, fmt.Errorf("read Debian package: %w", err)
	}
	return p, nil
}

// Name is the package's name with its version and architecture.
func (p *Package) Name() string {
	return p.Control["Package"] + " " + p.Control["Version"] + " " + p.Control["Architecture"]
}

// control reads the control file.
func control(all []member) (map[string]string, error) {
	r, err := plain(all, "control.tar")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it has no control file")
		}
		if err != nil {
			return nil, err
		}
		if path.Clean(h.Name) != "control" {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(t, 1<<20))
		if err != nil {
			return nil, err
		}
		fields := parse(string(text))
		for _, name := range []string{"Package", "Version", "Architecture"} {
			if fields[name] == "" {
				return nil, fmt.Errorf("its control file has no %s", name)
			}
		}
		return fields, nil
	}
}

// parse reads the fields of a control file (deb822(5)).
func parse(text string) map[string]string {
	out := map[string]string{}
	last := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if name, value, ok := strings.Cut(line, ":"); ok && line[0] != ' ' && line[0] != '\t' {
			last = name
			out[last] = strings.TrimSpace(value)
		} else if last != "" {
			out[last] += "\n" + strings.TrimSpace(line)
		}
	}
	return out
}

// File is one folder, file or link of a package.
type File struct {
	// Path is relative and clean; "." is the root.
	Path string
	// Mode has its type (fs.ModeDir, fs.ModeSymlink or neither) and permissions.
	Mode     fs.FileMode
	UID, GID int
	// Target is where a symbolic link leads, as written.
	Target string
	// Same is the path of a file that came before and that this is another name of.
	Same string
	Size int64
}

// Walk calls visit with every entry of the package in its order. data is a file's
// contents and ends with the call. Devices and whatever else a package of a system
// extension has no business with are an error.
func (p *Package) Walk(visit func(f File, data io.Reader) error) error {
	fail := func(err error) error { return fmt.Errorf("unpack %s: %w", p.Name(), err) }
	r, err := plain(p.members, "data.tar")
	if err != nil {
		return fail(err)
	}
	defer r.Close()
	kinds := map[string]fs.FileMode{}
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fail(err)
		}
		f, err := entry(h, kinds)
		if err != nil {
			return fail(err)
		}
		kinds[f.Path] = f.Mode.Type()
		if err := visit(f, t); err != nil {
			return fail(fmt.Errorf("%s: %w", f.Path, err))
		}
	}
}

// entry checks a header. kinds are the entries before it.
func entry(h *tar.Header, kinds map[string]fs.FileMode) (File, error) {
	name, err := inside(h.Name)
	if err != nil {
		return File{}, err
	}
	// Nothing lies below a link of the package: it would land where the link leads.
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if kind, known := kinds[dir]; known && kind != fs.ModeDir {
			return File{}, fmt.Errorf("%q lies below %q, which is no folder", h.Name, dir)
		}
	}
	info := h.FileInfo().Mode()
	f := File{Path: name, UID: h.Uid, GID: h.Gid, Mode: info & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)}
	switch h.Typeflag {
	case tar.TypeDir:
		f.Mode |= fs.ModeDir
	case tar.TypeSymlink:
		f.Mode |= fs.ModeSymlink
		f.Target = h.Linkname
	case tar.TypeReg:
		f.Size = h.Size
	case tar.TypeLink:
		if f.Same, err = inside(h.Linkname); err != nil {
			return File{}, err
		}
		if kind, known := kinds[f.Same]; !known || kind != 0 {
			return File{}, fmt.Errorf("%q is another name of %q, which is no file before it", h.Name, h.Linkname)
		}
	default:
		return File{}, fmt.Errorf("%q is of the kind %q, which is not unpacked", h.Name, h.Typeflag)
	}
	return f, nil
}

// inside cleans a name of an archive, which must stay below the root.
func inside(name string) (string, error) {
	clean := path.Clean(strings.TrimPrefix(name, "./"))
	if clean != "." && !fs.ValidPath(clean) || strings.ContainsAny(name, "\x00") {
		return "", fmt.Errorf("%q leaves the place where the package goes", name)
	}
	return clean, nil
}
