package deb

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Part is a program or library as a package has it.
type Part struct {
	Name string // of the program, or the name by which programs ask for the library
	Path string // in the package, through links
	Data []byte
	From *Package
	// Loader is the path of the loader that a program asks for; "" when it is static.
	Loader string
}

// Shelf is what can be taken out of packages: programs and the libraries they need.
// It holds all of them in memory.
type Shelf struct {
	found map[string]*stocked // by path
}

// stocked is a file or link of a package.
type stocked struct {
	data   []byte
	target string // of a link
	from   *Package
}

// NewShelf reads the programs, libraries and licenses of packages, which must be for
// the architecture, amd64 or arm64, or for all.
func NewShelf(arch string, packages []*Package) (*Shelf, error) {
	s := &Shelf{found: map[string]*stocked{}}
	for _, p := range packages {
		if is := p.Control["Architecture"]; is != arch && is != "all" {
			return nil, fmt.Errorf("the Debian package %s is for %s, not for %s", p.Name(), is, arch)
		}
		if err := s.stock(p); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Shelf) stock(p *Package) error {
	return p.Walk(func(f File, r io.Reader) error {
		wanted := slices.Contains([]string{"bin", "sbin", "usr/bin", "usr/sbin"}, path.Dir(f.Path)) ||
			strings.Contains(path.Base(f.Path), ".so") || f.Path == copyright(p)
		switch {
		case !wanted || f.Mode.IsDir():
			return nil
		case f.Mode.Type() == fs.ModeSymlink:
			s.found[f.Path] = &stocked{target: f.Target, from: p}
			return nil
		case f.Same != "":
			s.found[f.Path] = s.found[f.Same]
			return nil
		}
		data, err := io.ReadAll(r)
		s.found[f.Path] = &stocked{data: data, from: p}
		return err
	})
}

func copyright(p *Package) string { return "usr/share/doc/" + p.Control["Package"] + "/copyright" }

// License is the text under which a package may be passed on, if it has one itself.
func (s *Shelf) License(p *Package) []byte {
	if _, f := s.resolve(copyright(p)); f != nil {
		return f.data
	}
	return nil
}

// resolve finds a file by its path, through links.
func (s *Shelf) resolve(name string) (string, *stocked) {
	for range 8 {
		f := s.found[name]
		switch {
		case f == nil || f.target == "":
			return name, f
		case strings.HasPrefix(f.target, "/"):
			name = strings.TrimPrefix(path.Clean(f.target), "/")
		default:
			name = path.Join(path.Dir(name), f.target)
		}
	}
	return name, nil
}

// look finds a file by its name in the folders that Debian has for its kind.
func (s *Shelf) look(name string, folders ...string) (Part, bool) {
	for _, folder := range folders {
		if at, f := s.resolve(folder + "/" + name); f != nil {
			return Part{Name: name, Path: at, Data: f.data, From: f.from}, true
		}
	}
	return Part{}, false
}

// Program takes a program by its name, and every library that it needs, the loader
// among them, by name. A static program needs none. A library that no package has is
// an error that names it.
func (s *Shelf) Program(name string) (program Part, libraries []Part, err error) {
	fail := func(err error) (Part, []Part, error) {
		return Part{}, nil, fmt.Errorf("take %s out of Debian packages: %w", name, err)
	}
	program, ok := s.look(name, "usr/bin", "usr/sbin", "bin", "sbin")
	if !ok {
		return fail(errors.New("no package has it"))
	}
	loader, needed, err := linked(program.Data)
	if err != nil {
		return fail(err)
	}
	if program.Loader = loader; loader == "" {
		return program, nil, nil
	}
	taken := map[string]bool{}
	for queue := append(needed, path.Base(loader)); len(queue) > 0; queue = queue[1:] {
		if taken[queue[0]] {
			continue
		}
		taken[queue[0]] = true
		lib, ok := s.library(queue[0])
		if !ok {
			return fail(fmt.Errorf("it needs %s, which no package has", queue[0]))
		}
		_, more, err := linked(lib.Data)
		if err != nil {
			return fail(fmt.Errorf("%s: %w", lib.Path, err))
		}
		libraries = append(libraries, lib)
		queue = append(queue, more...)
	}
	slices.SortFunc(libraries, func(a, b Part) int { return strings.Compare(a.Name, b.Name) })
	return program, libraries, nil
}

func (s *Shelf) library(name string) (Part, bool) {
	var folders []string
	for _, machine := range []string{"x86_64-linux-gnu", "aarch64-linux-gnu"} {
		folders = append(folders, "lib/"+machine, "usr/lib/"+machine)
	}
	return s.look(name, append(folders, "lib64", "lib")...)
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
