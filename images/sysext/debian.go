package sysext

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

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

// FromPackages takes programs by name out of Debian packages for an architecture, with
// the libraries that they need and no others, and puts a launcher of each into usr/bin.
// The licenses of the packages come along. A library that no package has is an error
// that names it.
func FromPackages(arch string, packages []*deb.Package, programs []string) ([]File, error) {
	shelf, err := deb.NewShelf(arch, packages)
	if err != nil {
		return nil, err
	}
	taken := map[string]File{}
	take := func(at string, mode fs.FileMode, p deb.Part) {
		taken[at] = of(p.From, Bytes(at, mode, p.Data))
		license := licenseFolder + "/" + p.From.Control["Package"]
		if text := shelf.License(p.From); text != nil {
			taken[license] = of(p.From, Bytes(license, 0o644, text))
		}
	}
	for _, name := range programs {
		program, libraries, err := shelf.Program(name)
		if err != nil {
			return nil, err
		}
		if program.Loader == "" {
			take("usr/bin/"+name, 0o755, program)
			continue
		}
		take(programFolder+"/"+name, 0o755, program)
		for _, lib := range libraries {
			take(loaderFolder+"/"+lib.Name, 0o755, lib)
		}
		text := fmt.Sprintf(launcher, loaderFolder, path.Base(program.Loader), loaderFolder, programFolder, name)
		script := Bytes("usr/bin/"+name, 0o755, []byte(text))
		script.Origin = Name
		taken[script.Path] = script
	}
	var out []File
	for _, at := range slices.Sorted(maps.Keys(taken)) {
		out = append(out, taken[at])
	}
	return out, nil
}

func of(p *deb.Package, f File) File {
	f.Origin = p.Name()
	return f
}
