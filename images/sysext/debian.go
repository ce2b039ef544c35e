package sysext

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/deb"
)

// Folders of programs from Debian packages: the programs, and all libraries that they
// need with the loader that goes with them. A system with another C library has no
// part in them.
const (
	programFolder = "usr/lib/imgforge/bin"
	loaderFolder  = "usr/lib/imgforge/lib"
	licenseFolder = "usr/lib/imgforge/licenses"
)

// launcher starts a program with the libraries of its own. The loader takes the place
// of the shell, so that the process is the one that its unit watches. Nothing is
// passed on to what the program starts in turn.
const launcher = `#!/bin/sh
exec /%s/%s --inhibit-cache --library-path /%s --argv0 "$0" /%s/%s "$@"
`

// FromPackages takes programs by name out of Debian packages, with the libraries that
// they need and no others, and puts a launcher of each into usr/bin. A library that no
// package has is an error that names it.
func FromPackages(packages []*deb.Package, programs []string) ([]File, error) {
	s := &shelf{found: map[string]*found{}, taken: map[string]File{}}
	for _, p := range packages {
		if err := s.stock(p); err != nil {
			return nil, err
		}
	}
	for _, name := range programs {
		if err := s.program(name); err != nil {
			return nil, fmt.Errorf("take %s out of Debian packages: %w", name, err)
		}
	}
	var out []File
	for _, p := range slices.Sorted(maps.Keys(s.taken)) {
		out = append(out, s.taken[p])
	}
	return out, nil
}

// found is a program or library of a package.
type found struct {
	data   []byte
	target string // of a link
	origin *deb.Package
}

// shelf is what packages have, and what was taken of it.
type shelf struct {
	found map[string]*found // by path
	taken map[string]File
}

// stock notes the programs, libraries and licenses of a package.
func (s *shelf) stock(p *deb.Package) error {
	return p.Walk(func(f deb.File, r io.Reader) error {
		wanted := slices.Contains([]string{"bin", "sbin", "usr/bin", "usr/sbin"}, path.Dir(f.Path)) ||
			strings.Contains(path.Base(f.Path), ".so") || f.Path == copyright(p)
		if !wanted || f.Mode.IsDir() {
			return nil
		}
		if f.Mode.Type() == fs.ModeSymlink {
			s.found[f.Path] = &found{target: f.Target, origin: p}
			return nil
		}
		if f.Same != "" {
			s.found[f.Path] = s.found[f.Same]
			return nil
		}
		data, err := io.ReadAll(r)
		s.found[f.Path] = &found{data: data, origin: p}
		return err
	})
}

func copyright(p *deb.Package) string { return "usr/share/doc/" + p.Control["Package"] + "/copyright" }

// resolve finds a file by its path, through links.
func (s *shelf) resolve(name string) *found {
	for range 8 {
		f := s.found[name]
		switch {
		case f == nil || f.target == "":
			return f
		case strings.HasPrefix(f.target, "/"):
			name = strings.TrimPrefix(path.Clean(f.target), "/")
		default:
			name = path.Join(path.Dir(name), f.target)
		}
	}
	return nil
}

// look finds a file by its name in the folders that Debian has for its kind.
func (s *shelf) look(name string, folders ...string) *found {
	for _, folder := range folders {
		if f := s.resolve(folder + "/" + name); f != nil {
			return f
		}
	}
	return nil
}

func (s *shelf) program(name string) error {
	f := s.look(name, "usr/bin", "usr/sbin", "bin", "sbin")
	if f == nil {
		return errors.New("no package has it")
	}
	loader, needed, err := linked(f.data)
	if err != nil {
		return err
	}
	if loader == "" {
		s.take("usr/bin/"+name, 0o755, f)
		return nil
	}
	s.take(programFolder+"/"+name, 0o755, f)
	text := fmt.Sprintf(launcher, loaderFolder, path.Base(loader), loaderFolder, programFolder, name)
	script := Bytes("usr/bin/"+name, 0o755, []byte(text))
	script.Origin = Name
	s.taken[script.Path] = script
	return s.libraries(append(needed, path.Base(loader)))
}

// libraries takes libraries by their names, and those that they need in turn.
func (s *shelf) libraries(names []string) error {
	for _, name := range names {
		at := loaderFolder + "/" + name
		if _, done := s.taken[at]; done {
			continue
		}
		f := s.look(name, "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu", "lib64", "lib")
		if f == nil {
			return fmt.Errorf("it needs %s, which no package has", name)
		}
		_, needed, err := linked(f.data)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.take(at, 0o755, f)
		if err := s.libraries(needed); err != nil {
			return err
		}
	}
	return nil
}

// take puts a file into the extension, and the license of its package beside it.
func (s *shelf) take(at string, mode fs.FileMode, f *found) {
	file := Bytes(at, mode, f.data)
	file.Origin = f.origin.Name()
	s.taken[at] = file
	license := licenseFolder + "/" + f.origin.Control["Package"]
	if text := s.resolve(copyright(f.origin)); text != nil {
		file := Bytes(license, 0o644, text.data)
		file.Origin = f.origin.Name()
		s.taken[license] = file
	}
}

// linked tells which loader and libraries a program or library asks for.
func linked(data []byte) (loader string, needed []string, err error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return "", nil, fmt.Errorf("it is no program: %w", err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			name, err := io.ReadAll(p.Open())
			if err != nil {
				return "", nil, err
			}
			loader = string(bytes.TrimRight(name, "\x00"))
		}
	}
	needed, err = f.ImportedLibraries()
	return loader, needed, err
}
