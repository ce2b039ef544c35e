package ext4

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
)

// Write puts new files of root's into the file system. One that is there already is
// an error, and then nothing is changed.
func (e *Editor) Write(ctx context.Context, files ...File) error {
	var s script
	for _, f := range files {
		if err := plainPath(f.Path); err != nil {
			return err
		}
		there, err := e.Exists(ctx, f.Path)
		if err != nil {
			return err
		}
		if there {
			return fmt.Errorf("%s is there already", f.Path)
		}
		if err := e.folders(ctx, &s, f, path.Dir(f.Path)); err != nil {
			return err
		}
		s.file(f)
	}
	return e.apply(ctx, &s)
}

// Replace gives a file other contents; its owner, mode and SELinux label stay.
func (e *Editor) Replace(ctx context.Context, p string, contents []byte) error {
	old, err := e.stat(ctx, p)
	if err != nil {
		return err
	}
	if old.kind != "regular" {
		return fmt.Errorf("%s is of kind %s, not a file", p, old.kind)
	}
	var s script
	s.line(`rm "%s"`, p)
	s.file(File{Path: p, Mode: old.mode & 0o7777, Label: old.label, Contents: contents})
	return e.apply(ctx, &s)
}

// script is what debugfs is to do, and what must be true afterwards.
type script struct {
	commands strings.Builder
	made     map[string]bool
	files    []File
	folders  []File
}

func (s *script) line(format string, args ...any) { fmt.Fprintf(&s.commands, format+"\n", args...) }

// folders makes what is missing above a file.
func (e *Editor) folders(ctx context.Context, s *script, f File, dir string) error {
	if dir == "/" || s.made[dir] {
		return nil
	}
	there, err := e.Exists(ctx, dir)
	if err != nil || there {
		return err
	}
	if err := e.folders(ctx, s, f, path.Dir(dir)); err != nil {
		return err
	}
	if s.made == nil {
		s.made = map[string]bool{}
	}
	s.made[dir] = true
	s.folders = append(s.folders, File{Path: dir, Mode: f.FolderMode, Label: f.Label})
	s.line(`mkdir "%s"`, dir)
	s.attributes(dir, 0o040000|f.FolderMode, f.Label)
	return nil
}

func (s *script) file(f File) {
	s.line(`write "%s" "%s"`, inherited(len(s.files)), f.Path)
	s.attributes(f.Path, 0o100000|f.Mode, f.Label)
	s.files = append(s.files, f)
}

func (s *script) attributes(p string, mode uint32, label string) {
	s.line(`set_inode_field "%s" mode 0%o`, p, mode)
	s.line(`set_inode_field "%s" uid 0`, p)
	s.line(`set_inode_field "%s" gid 0`, p)
	if label != "" {
		s.line(`ea_set "%s" security.selinux "%s\000"`, p, label)
	}
}

// apply runs a script and believes only what it reads afterwards. The contents go
// through files without names: they may be secret.
func (e *Editor) apply(ctx context.Context, s *script) error {
	if err := e.runScript(ctx, s); err != nil {
		return err
	}
	for _, f := range append(s.folders, s.files...) {
		got, err := e.stat(ctx, f.Path)
		if err != nil {
			return err
		}
		if got.mode&0o7777 != f.Mode || got.label != f.Label {
			return fmt.Errorf("%s has mode %04o and label %q, not %04o and %q", f.Path, got.mode, got.label, f.Mode, f.Label)
		}
	}
	for _, f := range s.files {
		if got, err := e.ReadFile(ctx, f.Path); err != nil || !bytes.Equal(got, f.Contents) {
			return errors.Join(fmt.Errorf("%s was not written whole: the file system is full", f.Path), err)
		}
	}
	return e.check(ctx)
}

// runScript hands each file's contents over as an open file.
func (e *Editor) runScript(ctx context.Context, s *script) error {
	var open []*os.File
	defer func() {
		for _, f := range open {
			f.Close()
		}
	}()
	for _, f := range s.files {
		source, err := unnamed(f.Contents)
		if err != nil {
			return err
		}
		open = append(open, source)
	}
	_, err := e.run(ctx, "debugfs", []byte(s.commands.String()), open, "-w", "-f", "-", image)
	return err
}

// unnamed is an open file with contents and without a name.
func unnamed(contents []byte) (*os.File, error) {
	f, err := os.CreateTemp("", "imgforge-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.Write(contents); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
