package node

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/imgforge/imgforge/internal/artifact"
)

// stagePrefix names files that are not in place yet. The kubelet and networkd
// ignore names with a leading dot.
const stagePrefix = ".imgforge-claim-"

// staged is one file, written beside its place.
type staged struct {
	file     artifact.File
	uid, gid int
	temp     string
	path     string
}

// place writes files with their modes and owners. All are written beside their
// places and flushed first, so that a full disk or an unknown owner changes
// nothing; then each is renamed in one step. A run that is killed between two
// renames is completed by the next, which begins anew.
func (h host) place(files []artifact.File) (err error) {
	all := make([]staged, len(files))
	for i, f := range files {
		s := staged{file: f, path: h.path(f.Path)}
		if s.uid, s.gid, err = h.owner(f.User, f.Group); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		// The name depends on the path alone: the next run takes over from a killed one.
		s.temp = filepath.Join(filepath.Dir(s.path), fmt.Sprintf("%s%x", stagePrefix, sha256.Sum256([]byte(f.Path)))[:len(stagePrefix)+16])
		all[i] = s
	}
	defer func() {
		if err != nil {
			for _, s := range all {
				os.Remove(s.temp)
			}
		}
	}()
	for _, s := range all {
		if err := s.stage(); err != nil {
			return err
		}
		h.at("staged " + s.file.Path)
	}
	folders := map[string]bool{}
	for _, s := range all {
		if err := os.Rename(s.temp, s.path); err != nil {
			return err
		}
		h.at("renamed " + s.file.Path)
		folders[filepath.Dir(s.path)] = true
	}
	for dir := range folders {
		if err := syncFolder(dir); err != nil {
			return err
		}
	}
	return nil
}

// stage writes one file under its temporary name.
func (s staged) stage() (err error) {
	if err := os.MkdirAll(filepath.Dir(s.temp), 0o755); err != nil {
		return err
	}
	if err := os.Remove(s.temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(s.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(s.file.Contents); err != nil {
		return err
	}
	// Only root can give files away; a test as somebody else keeps them.
	if os.Geteuid() == 0 {
		if err := f.Chown(s.uid, s.gid); err != nil {
			return err
		}
	}
	mode := fs.FileMode(s.file.Mode)
	if mode == 0 {
		mode = 0o644
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	return f.Sync()
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
