package sysext

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/squashfs"
)

// Name is what the extension is called where it is merged: systemd-sysext takes a
// file or link only when its name is this, with .raw, since the release file inside
// ends in it. It stays the same across versions, so that a newer one replaces it.
const Name = "imgforge"

// BlockSize is how much of a program is compressed at once, in bytes: programs are
// large, and get a twentieth smaller than with the usual 128 KiB in the same time.
const BlockSize = 512 << 10

// Place is where a node's extension lies, or a link to it.
const Place = "/etc/extensions/" + Name + ".raw"

// Extension is what one image is made of.
type Extension struct {
	Family string // as the cluster file has it: flatcar, fcos, debian, ubuntu or imgforge
	Arch   string // amd64 or arm64
	// Shipped is what the system has itself: the rest must be among Files.
	Shipped Shipped
	// Files are programs and what they need; units and the release file are added.
	Files []File
	// Time is that of every file, in seconds since 1970.
	Time uint32
}

// FileName is what the image of a Kubernetes version such as 1.36.3 is called outside.
func FileName(family, kubernetes, arch string) string {
	return fmt.Sprintf("%s-%s-kubernetes-%s-%s.raw", Name, family, kubernetes, arch)
}

// architecture is systemd's name of one of Go's.
func architecture(arch string) (string, error) {
	switch arch {
	case "amd64":
		return "x86-64", nil
	case "arm64":
		return "arm64", nil
	}
	return "", fmt.Errorf("no extension is made for the architecture %q: it is amd64 or arm64", arch)
}

//go:embed units
var units embed.FS

// Write writes the image and returns its size in bytes. The same extension gives the
// same bytes. What was written before an error is of no use.
func Write(w io.WriterAt, e Extension) (int64, error) {
	fail := func(err error) (int64, error) {
		return 0, fmt.Errorf("write system extension for %s on %s: %w", e.Family, e.Arch, err)
	}
	entries, err := e.Entries()
	if err != nil {
		return fail(err)
	}
	size, err := squashfs.Write(w, entries, squashfs.Options{Time: e.Time, BlockSize: BlockSize})
	if err != nil {
		return fail(err)
	}
	return size, nil
}

// Entries are all that the image holds, for whoever lays it out as a folder, which
// systemd-sysext takes as well. Reading a file to its end verifies it.
func (e Extension) Entries() ([]squashfs.Entry, error) {
	own, err := e.own()
	if err != nil {
		return nil, err
	}
	files := append(append([]File{}, e.Files...), own...)
	if err := e.complete(files); err != nil {
		return nil, err
	}
	return e.entries(files)
}

// own are the files that every extension has: what it is for, and its units.
func (e Extension) own() ([]File, error) {
	arch, err := architecture(e.Arch)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"flatcar", "fcos", "debian", "ubuntu", "imgforge"}, e.Family) {
		return nil, fmt.Errorf("no extension is made for the family %q: it is one of flatcar, fcos, debian, ubuntu and imgforge", e.Family)
	}
	// All that is inside is static or has its own libraries, so that no release of a
	// system matters. Flatcar promises its level to stay.
	release := "ID=_any\n"
	if e.Family == "flatcar" {
		release = "ID=flatcar\nSYSEXT_LEVEL=1.0\n"
	}
	release += "ARCHITECTURE=" + arch + "\nEXTENSION_RELOAD_MANAGER=1\n"
	out := []File{Bytes("usr/lib/extension-release.d/extension-release."+Name, 0o644, []byte(release))}
	for name, folder := range map[string]string{"imgforge-images.service": "", "10-imgforge-images.conf": "kubelet.service.d/"} {
		data, err := units.ReadFile("units/" + name)
		if err != nil {
			return nil, err
		}
		out = append(out, Bytes("usr/lib/systemd/system/"+folder+name, 0o644, data))
	}
	return out, nil
}

// complete refuses an extension that lacks a program which every node of its system
// needs. Which mesh there is, it cannot know.
func (e Extension) complete(files []File) error {
	has := map[string]bool{}
	for _, f := range files {
		has[f.Path] = true
	}
	var lacking []string
	for _, p := range Programs(e.Shipped) {
		if p.For == "" && !has[p.Path] {
			lacking = append(lacking, p.Path)
		}
	}
	if len(lacking) > 0 {
		return fmt.Errorf("it lacks %s", strings.Join(lacking, ", "))
	}
	return nil
}

// entries are the files and their folders as the image has them.
func (e Extension) entries(files []File) ([]squashfs.Entry, error) {
	var out []squashfs.Entry
	folders := map[string]bool{}
	add := func(entry squashfs.Entry) {
		entry.ModTime = e.Time
		if label := labelOf(e.Family, entry.Path); label != "" {
			entry.Xattrs = map[string]string{"security.selinux": label}
		}
		out = append(out, entry)
	}
	for _, f := range files {
		if err := f.check(); err != nil {
			return nil, err
		}
		for dir := path.Dir(f.Path); dir != "." && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
			add(squashfs.Entry{Path: dir, Mode: fs.ModeDir | 0o755})
		}
		mode := f.Mode
		switch {
		case f.Target != "":
			add(squashfs.Entry{Path: f.Path, Mode: fs.ModeSymlink | 0o777, Target: f.Target})
			continue
		case mode == 0:
			mode = 0o644
		}
		add(squashfs.Entry{Path: f.Path, Mode: mode, Size: f.Size, Open: f.verified})
	}
	return out, nil
}
