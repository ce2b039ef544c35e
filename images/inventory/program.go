package inventory

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/imgforge/imgforge/images/attest"
)

// program is a program or library in ELF.
type program struct {
	digest string // sha256:...
	// info is what the Go tools left in it; nil when it was made otherwise.
	info *debug.BuildInfo
}

// spool is a file without a name, in which one program after the other is looked at:
// what it was built from does not stand in order.
type spool struct{ f *os.File }

func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, ".imgforge-tmp-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return &spool{f}, nil
}

func (s *spool) close() { s.f.Close() }

// program reads a file to its end; nil when it is no program and no library.
func (s *spool) program(r io.Reader) (*program, error) {
	head := make([]byte, len(elf.ELFMAG))
	n, err := io.ReadFull(r, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if string(head) != elf.ELFMAG {
		return nil, nil
	}
	if err := s.f.Truncate(0); err != nil {
		return nil, err
	}
	if _, err := s.f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(h, s.f), io.MultiReader(bytes.NewReader(head[:n]), r)); err != nil {
		return nil, err
	}
	parsed, err := elf.NewFile(s.f)
	if err != nil || parsed.Type != elf.ET_EXEC && parsed.Type != elf.ET_DYN {
		return nil, nil // an object file, or half of something: nothing runs it
	}
	p := &program{digest: attest.SHA256 + ":" + hex.EncodeToString(h.Sum(nil))}
	if info, err := buildinfo.Read(s.f); err == nil {
		p.info = info
	}
	return p, nil
}

// components are the program under a name, and its modules.
func (p *program) components(name string) []attest.Component {
	c := attest.Component{Name: name, Purpose: attest.Application, Digest: p.digest}
	if p.info != nil && version(p.info.Main.Version) {
		c.Version = p.info.Main.Version
	}
	c.PURL = attest.Generic(name, c.Version, "", p.digest)
	return append([]attest.Component{c}, Modules(p.info)...)
}

// version tells one from what stands where the Go tools know none.
func version(s string) bool { return s != "" && s != "(devel)" }

// Modules are the Go modules that a program was built from, the standard library
// among them, whose version is the compiler's; nil has none.
func Modules(info *debug.BuildInfo) []attest.Component {
	if info == nil {
		return nil
	}
	module := func(path, version string) attest.Component {
		return attest.Component{Name: path, Version: version, Purpose: attest.Library, PURL: attest.Module(path, version)}
	}
	var out []attest.Component
	if v, ok := strings.CutPrefix(info.GoVersion, "go"); ok {
		v, _, _ = strings.Cut(v, " ") // experiments follow
		out = append(out, module("stdlib", v))
	}
	if version(info.Main.Version) {
		out = append(out, module(info.Main.Path, info.Main.Version))
	}
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		if !version(d.Version) || strings.HasPrefix(d.Path, ".") {
			continue // a folder of the same repository
		}
		out = append(out, module(d.Path, d.Version))
	}
	return out
}

// Source is a file to look at.
type Source struct {
	Name string
	Open func() (io.ReadCloser, error)
}

// Programs are the components of those files that are programs or libraries. scratch is
// a folder for a file that has no name.
func Programs(scratch string, files []Source) ([]attest.Component, error) {
	s, err := newSpool(scratch)
	if err != nil {
		return nil, fmt.Errorf("list what programs are made of: %w", err)
	}
	defer s.close()
	var out []attest.Component
	for _, f := range files {
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("list what %s is made of: %w", f.Name, err)
		}
		p, err := s.program(r)
		r.Close()
		if err != nil {
			return nil, fmt.Errorf("list what %s is made of: %w", f.Name, err)
		}
		if p != nil {
			out = append(out, p.components(f.Name)...)
		}
	}
	return out, nil
}
