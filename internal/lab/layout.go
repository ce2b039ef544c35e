package lab

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/imgforge/imgforge/images/squashfs"
)

// layOut makes a folder of entries, as their image is when it is mounted: with owners,
// modes and attributes, which takes root.
func layOut(dir string, entries []squashfs.Entry) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// A folder comes before what is in it.
	entries = slices.SortedFunc(slices.Values(entries), func(a, b squashfs.Entry) int { return strings.Compare(a.Path, b.Path) })
	for _, e := range entries {
		path := filepath.Join(dir, e.Path)
		// Whoever lists no folders has those of root.
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := layOutOne(path, e); err != nil {
			return fmt.Errorf("lay out %s: %w", e.Path, err)
		}
	}
	return nil
}

func layOutOne(path string, e squashfs.Entry) error {
	var err error
	switch e.Mode.Type() {
	case fs.ModeDir:
		if err = os.Mkdir(path, 0o755); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	case fs.ModeSymlink:
		return errors.Join(os.Symlink(e.Target, path), os.Lchown(path, int(e.UID), int(e.GID)))
	default:
		err = layOutFile(path, e)
	}
	if err != nil {
		return err
	}
	// Another owner takes setuid bits and capabilities away.
	if err := errors.Join(os.Chown(path, int(e.UID), int(e.GID)), os.Chmod(path, e.Mode&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky))); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		if err := unix.Setxattr(path, name, []byte(e.Xattrs[name]), 0); err != nil {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
	}
	return nil
}

func layOutFile(path string, e squashfs.Entry) error {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil || e.Size == 0 {
		return errors.Join(err, out.Close())
	}
	in, err := e.Open()
	if err != nil {
		return errors.Join(err, out.Close())
	}
	defer in.Close()
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
