package debianbase

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/deb"
)

// Package is a Debian package that was pinned.
type Package struct {
	Name   string
	Path   string // of the file
	SHA256 string // of it, in lower-case hex
}

// fields are what apt decides by.
func fields() []string {
	return []string{"Package", "Version", "Architecture", "Multi-Arch", "Essential", "Important", "Priority", "Section", "Installed-Size", "Maintainer",
		"Pre-Depends", "Depends", "Provides", "Conflicts", "Breaks", "Replaces"}
}

// repository lays packages out in a new folder as apt reads them, verified, and
// readable for whoever it becomes. There is nothing else that it could install.
func repository(dir string, packages []Package) (err error) {
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o755)); err != nil {
		return err
	}
	index, err := open(filepath.Join(dir, "Packages"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, index.Close()) }()
	w := bufio.NewWriter(index)
	for _, p := range slices.SortedFunc(slices.Values(packages), func(a, b Package) int { return cmp.Compare(a.Name, b.Name) }) {
		if err := shelve(w, dir, p); err != nil {
			return fmt.Errorf("debian package %s: %w", p.Name, err)
		}
	}
	return w.Flush()
}

// shelve copies one package and writes its paragraph.
func shelve(w io.Writer, dir string, p Package) error {
	f, err := os.Open(p.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	opened, err := deb.Open(f, info.Size(), p.SHA256)
	if err != nil {
		return err
	}
	if opened.Control["Package"] != p.Name {
		return fmt.Errorf("it is %s", opened.Name())
	}
	name := p.SHA256 + ".deb"
	if err := copyFile(filepath.Join(dir, name), f); err != nil {
		return err
	}
	for _, field := range fields() {
		if value := opened.Control[field]; value != "" {
			fmt.Fprintf(w, "%s: %s\n", field, strings.ReplaceAll(value, "\n", " "))
		}
	}
	_, err = fmt.Fprintf(w, "Description: %s\nFilename: ./%s\nSize: %d\nSHA256: %s\n\n", p.Name, name, info.Size(), p.SHA256)
	return err
}

func copyFile(path string, from *os.File) (err error) {
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return err
	}
	to, err := open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	_, err = io.Copy(to, from)
	return err
}

// open makes a file that everybody can read, whatever the umask.
func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o644); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
