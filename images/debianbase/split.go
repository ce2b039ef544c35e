package debianbase

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/imgforge/imgforge/images/squashfs"
)

// FirstRoot is where in /usr the first contents of the root file system lie.
const FirstRoot = "share/imgforge/root"

// parts are the installed system, taken apart. They are read from the archive.
type parts struct {
	usr  []squashfs.Entry
	boot map[string]*io.SectionReader // what boot loaders need, by name
}

// split reads the archive of a system. time is of every file, in seconds since 1970.
func split(archive *os.File, time uint32) (*parts, error) {
	p := &parts{boot: map[string]*io.SectionReader{}}
	own, err := ownFiles(time)
	if err != nil {
		return nil, err
	}
	p.usr = append(p.usr, own...)
	has := map[string]bool{}
	for _, e := range own {
		has[e.Path] = true
	}
	seen := map[string]squashfs.Entry{} // by path in the archive, for hard links
	for t := tar.NewReader(archive); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return p, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the installed system: %w", err)
		}
		// The archive is read where it is: a header ends where its data begin.
		at, err := archive.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		data := io.NewSectionReader(archive, at, h.Size)
		name := path.Clean(strings.TrimPrefix(h.Name, "./"))
		if folder, file := path.Split(name); folder == "boot/" && h.Typeflag == tar.TypeReg {
			p.boot[file] = data
			continue
		}
		e, ok := entry(h, data, time, seen)
		if !ok {
			continue
		}
		seen[name] = e
		if e.Path = place(name); e.Path != "" && !has[e.Path] {
			p.usr = append(p.usr, e)
		}
	}
}

// entry is a header of the archive as the image has it. Devices and sockets are not
// taken: the kernel makes them.
func entry(h *tar.Header, data *io.SectionReader, time uint32, seen map[string]squashfs.Entry) (squashfs.Entry, bool) {
	e := squashfs.Entry{Mode: h.FileInfo().Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky), UID: uint32(h.Uid), GID: uint32(h.Gid), ModTime: time}
	switch h.Typeflag {
	case tar.TypeDir:
		e.Mode |= fs.ModeDir
	case tar.TypeSymlink:
		e.Mode, e.Target = e.Mode|fs.ModeSymlink, h.Linkname
	case tar.TypeLink:
		same, ok := seen[path.Clean(strings.TrimPrefix(h.Linkname, "./"))]
		return same, ok
	case tar.TypeReg:
		e.Size = h.Size
		e.Open = func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(data, 0, data.Size())), nil }
	default:
		return e, false
	}
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok && strings.HasPrefix(name, "security.") {
			if e.Xattrs == nil {
				e.Xattrs = map[string]string{}
			}
			e.Xattrs[name] = value
		}
	}
	return e, true
}

// dpkgFolder is where in /usr the list of the packages lies. Scanners look for one in
// any lib/dpkg, and in status.d beside it for more, where the initrd's are.
const dpkgFolder = "lib/dpkg"

// place is where a file of the system goes in /usr; "" when it is not taken. The
// package manager's state has no use where nothing can be installed: its list of what
// is inside stays. Logs, caches and backups are made anew.
func place(name string) string {
	if rest, ok := strings.CutPrefix(name, "usr/"); ok {
		return rest
	}
	switch {
	case name == "usr" || name == ".":
		return ""
	case name == "var/lib/dpkg/status":
		return dpkgFolder + "/status"
	}
	for _, folder := range []string{"dev", "proc", "sys", "run", "boot", "tmp", "var/cache", "var/log", "var/backups", "var/lib/apt", "var/lib/dpkg", "etc/apt"} {
		if strings.HasPrefix(name, folder+"/") {
			return ""
		}
	}
	switch name {
	case "var/lib/apt", "var/lib/dpkg", "etc/apt", "etc/hostname", "etc/resolv.conf", "vmlinuz", "vmlinuz.old", "initrd.img", "initrd.img.old":
		return ""
	}
	return FirstRoot + "/" + name
}

// ownFiles are what the base has beside its packages.
func ownFiles(time uint32) ([]squashfs.Entry, error) {
	var out []squashfs.Entry
	for name, at := range map[string]string{
		"80-imgforge.preset": "lib/systemd/system-preset/80-imgforge.preset",
		"99-default.preset":  "lib/systemd/system-preset/99-default.preset",
		"50-root.conf":       "lib/repart.d/50-root.conf",
		"fstab":              FirstRoot + "/etc/fstab",
		"selinux":            FirstRoot + "/etc/selinux/config",
	} {
		data, err := system.ReadFile("system/" + name)
		if err != nil {
			return nil, err
		}
		out = append(out, squashfs.Bytes(at, 0o644, data))
	}
	out = append(out, squashfs.Bytes(FirstRoot+"/etc/machine-id", 0o444, []byte("uninitialized\n")))
	for at, target := range map[string]string{
		"etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf",
		// It asks questions on the console of a machine that nobody sits at.
		"etc/systemd/system/systemd-firstboot.service": "/dev/null",
		// dpkg-query looks there.
		"var/lib/dpkg": "../../usr/" + dpkgFolder,
	} {
		out = append(out, squashfs.Entry{Path: FirstRoot + "/" + at, Mode: fs.ModeSymlink | 0o777, Target: target})
	}
	for i := range out {
		out[i].ModTime = time
	}
	return out, nil
}
