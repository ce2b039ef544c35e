package upstream

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"path"
	"strings"

	"github.com/ulikunitz/xz"

	"github.com/imgforge/imgforge/images/catalog"
)

// Program publishes one of the catalogue's programs, with the list of its hash. What
// it holds stands in for the program.
func (s *Site) Program(of, version, arch string) error {
	return s.programs(of, version, arch, func(p catalog.Program) (map[string][]byte, error) {
		names := members(p.Name)
		if names == nil {
			return map[string][]byte{p.Name: body(p.Name + " " + p.Version + " " + arch)}, nil
		}
		files := map[string][]byte{}
		for _, name := range names {
			files[name] = body(path.Base(name) + " " + p.Version + " " + arch)
		}
		return files, nil
	})
}

// RealProgram publishes one of the catalogue's programs as it is. read returns a
// command by its name.
func (s *Site) RealProgram(of, version, arch string, read func(command string) ([]byte, error)) error {
	return s.programs(of, version, arch, func(p catalog.Program) (map[string][]byte, error) {
		names := members(p.Name)
		if names == nil {
			names = []string{p.Name}
		}
		files := map[string][]byte{}
		for _, name := range names {
			data, err := read(path.Base(name))
			if err != nil {
				return nil, err
			}
			files[name] = data
		}
		return files, nil
	})
}

// programs publishes the files of one thing, with the lists of their hashes.
func (s *Site) programs(of, version, arch string, contents func(catalog.Program) (map[string][]byte, error)) error {
	all, err := catalog.Programs(of, version, arch)
	if err != nil {
		return err
	}
	for _, p := range all {
		files, err := contents(p)
		if err != nil {
			return err
		}
		data := files[p.Name]
		if members(p.Name) != nil {
			if data, err = packed(members(p.Name), files); err != nil {
				return err
			}
		}
		list := string(s.Get(p.Sums)) + sum256(data) + "  " + p.File + "\n" // one list serves all architectures of some
		if of == catalog.Kubernetes {                                       // whose lists are a hash and nothing else
			list = sum256(data)
		}
		if err := s.Put(p.URL, data); err != nil {
			return err
		}
		if err := s.Put(p.Sums, []byte(list)); err != nil {
			return err
		}
	}
	return nil
}

// members are the commands in the archive of a program; nil where the file is the program.
func members(program string) []string {
	return map[string][]string{
		catalog.CNIPlugins: {"./bandwidth", "./bridge", "./firewall", "./host-local", "./loopback", "./portmap", "./ptp", "./tuning", "./README.md"},
		catalog.Containerd: {"bin/containerd", "bin/containerd-shim-runc-v2", "bin/ctr"}, catalog.Crictl: {"crictl"},
	}[program]
}

// packed is an archive of commands.
func packed(names []string, files map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.NoCompression) // the same bytes from every release of Go
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(z)
	if err := t.WriteHeader(&tar.Header{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name]))}); err != nil {
			return nil, err
		}
		if _, err := t.Write(files[name]); err != nil {
			return nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Debian publishes a snapshot of the package archive: paragraphs of an index, to
// which file names, sizes and hashes are added, and the same for security updates.
func (s *Site) Debian(release, snapshot, paragraphs, security string) error {
	for _, suite := range catalog.Suites(release, snapshot) {
		text := paragraphs
		if suite.Security {
			text = security
		}
		if err := s.suite(suite, text); err != nil {
			return err
		}
	}
	return nil
}

// Package is what a Debian package consists of, in snapshots that are published from
// now on and for every architecture; others consist of their name.
func (s *Site) Package(name string, data []byte) {
	if s.packages == nil {
		s.packages = map[string][]byte{}
	}
	s.packages[name] = data
}

func (s *Site) suite(suite catalog.Suite, paragraphs string) error {
	var sums strings.Builder
	for _, arch := range [...]string{"amd64", "arm64"} {
		packed, err := s.index(suite, arch, paragraphs)
		if err != nil {
			return err
		}
		if err := s.Put(suite.PackagesURL(arch), packed); err != nil {
			return err
		}
		file := strings.TrimPrefix(suite.PackagesURL(arch), strings.TrimSuffix(suite.ReleaseURL(), "InRelease"))
		fmt.Fprintf(&sums, " %s %d %s\n", sum256(packed), len(packed), file)
	}
	dist := path.Base(path.Dir(suite.ReleaseURL()))
	release, err := s.clearSign([]byte("Origin: Debian\nCodename: " + dist + "\nMD5Sum:\n 00000000000000000000000000000000 1 main/binary-amd64/Packages.xz\nSHA256:\n" + sums.String()))
	if err != nil {
		return err
	}
	return s.Put(suite.ReleaseURL(), release)
}

// index publishes packages and returns the list of them, packed.
func (s *Site) index(suite catalog.Suite, arch, paragraphs string) ([]byte, error) {
	root, _, _ := strings.Cut(suite.ReleaseURL(), "/dists/")
	var packed bytes.Buffer
	z, err := xz.WriterConfig{DictCap: 64 << 10}.NewWriter(&packed) // a large dictionary takes long to make
	if err != nil {
		return nil, err
	}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(paragraphs), "\n\n") {
		if paragraph == "" {
			continue
		}
		name, version := value(paragraph, "Package"), value(paragraph, "Version")
		file := fmt.Sprintf("pool/main/%s_%s_%s.deb", name, version, arch)
		data := s.packages[name]
		if data == nil {
			data = body("deb " + name + " " + version + " " + arch)
		}
		fmt.Fprintf(z, "%s\nArchitecture: %s\nFilename: %s\nSize: %d\nSHA256: %s\nDescription: stand-in\n of a package\n\n", paragraph, arch, file, len(data), sum256(data))
		if err := s.Put(root+"/"+file, data); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

func value(paragraph, name string) string {
	for line := range strings.Lines(paragraph) {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
