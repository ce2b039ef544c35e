package pki

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
)

// Modes of what the store writes, whatever the umask. Git keeps only the x bit,
// so sealed files are 0644 after a clone; 0600 here is a second fence around
// what the seal already protects.
const (
	folderMode = 0o755
	publicMode = 0o644
	sealedMode = 0o600
)

// unfinishedPrefix begins the names of files that artifact.WriteFile had not
// finished when the process was killed.
const unfinishedPrefix = ".imgforge-tmp-"

// output is one new file of the store.
type output struct {
	path string
	mode fs.FileMode
	data []byte
}

// hold takes the store's lock, cleans up after a run that was killed and takes a
// fresh snapshot, so that what follows builds on what the last run left.
func (s *Store) hold(ctx context.Context) (*lock, error) {
	if !exists(s.path(indexName)) {
		return nil, s.missing(fs.ErrNotExist)
	}
	l, err := takeLock(ctx, s.dir, s.Now(), s.Patience, s.Waiting)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s.dir, err)
	}
	if err := s.refresh(ctx); err != nil {
		l.release()
		return nil, err
	}
	if err := s.tidy(l); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

// refresh takes a new snapshot when another run has replaced the index.
func (s *Store) refresh(ctx context.Context) error {
	raw, err := os.ReadFile(s.path(indexName))
	if err != nil {
		return s.missing(err)
	}
	if bytes.Equal(raw, s.raw) {
		return nil
	}
	s.forget()
	return s.load(ctx)
}

// tidy finishes what a killed run left.
func (s *Store) tidy(l *lock) error {
	if len(l.left) == 0 {
		return nil
	}
	s.sweep(l.left)
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("store %s: %w", s.dir, err)
	}
	for _, f := range list {
		if strings.HasPrefix(f.Name(), unfinishedPrefix) {
			_ = os.Remove(s.path(f.Name()))
		}
	}
	if err := l.record(nil); err != nil {
		return fmt.Errorf("store %s: %w", s.dir, err)
	}
	return nil
}

// commit writes files, then the index that names them, then removes what the
// new index no longer names. Until the index is replaced, the store is the old
// one whatever else has been written; from then on it is the new one.
func (s *Store) commit(ctx context.Context, l *lock, next *index, files []output) error {
	var touched []string
	for _, f := range files {
		touched = append(touched, f.path)
	}
	named := next.files()
	if s.index != nil {
		for old := range s.index.files() {
			if !named[old] {
				touched = append(touched, old)
			}
		}
	}
	slices.Sort(touched)
	if err := l.record(touched); err != nil {
		return fmt.Errorf("store %s: %w", s.dir, err)
	}
	s.did("journal")
	var encoded bytes.Buffer
	err := next.encode(&encoded)
	if err == nil {
		err = s.writeFiles(ctx, files)
	}
	if err == nil {
		err = artifact.WriteBytes(s.path(indexName), publicMode, encoded.Bytes())
	}
	if err != nil {
		s.sweep(touched)
		return fmt.Errorf("store %s: %w", s.dir, errors.Join(err, l.record(nil)))
	}
	s.did("index")
	s.adopt(next, encoded.Bytes(), files)
	s.sweep(touched)
	s.did("swept")
	if err := l.record(nil); err != nil {
		return fmt.Errorf("store %s: %w", s.dir, err)
	}
	s.did("done")
	return nil
}

// adopt makes what was written the snapshot.
func (s *Store) adopt(next *index, raw []byte, files []output) {
	s.forget()
	old := s.files
	s.index, s.raw, s.files = next, raw, make(map[string][]byte, len(old)+len(files))
	for name := range next.files() {
		if data, ok := old[name]; ok {
			s.files[name] = data
		}
	}
	for _, f := range files {
		s.files[f.path] = f.data
	}
}

// did tells a test that a step is over.
func (s *Store) did(what string) {
	if s.step != nil {
		s.step(what)
	}
}

// forget drops opened secrets, which may be of an older generation.
func (s *Store) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.opened)
}

// writeFiles makes files durable under their final names, which no index names
// yet.
func (s *Store) writeFiles(ctx context.Context, files []output) error {
	var folders []string
	for _, f := range files {
		for dir := path.Dir(f.path); dir != "."; dir = path.Dir(dir) {
			folders = append(folders, dir)
		}
	}
	slices.Sort(folders) // parents first
	folders = slices.Compact(folders)
	for _, dir := range folders {
		if err := makeFolder(s.path(dir)); err != nil {
			return err
		}
	}
	s.did("folders")
	err := parallel(ctx, len(files), fileWorkers, func(i int) error {
		defer s.did("file")
		return s.writeNew(files[i])
	})
	if err != nil {
		return err
	}
	folders = append(folders, ".")
	return parallel(ctx, len(folders), fileWorkers, func(i int) error { return syncFolder(s.path(folders[i])) })
}

// writeNew writes a file that must not be there. Something of its name that no
// index names can only be left from elsewhere, a merge for instance, and is
// replaced, never written through.
func (s *Store) writeNew(o output) (err error) {
	name := s.path(o.path)
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, sealedMode)
	if err != nil {
		return err
	}
	_, err = f.Write(o.data)
	if err == nil {
		err = f.Chmod(o.mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func makeFolder(dir string) error {
	err := os.Mkdir(dir, folderMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, folderMode) // past the umask
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	// Not every file system can flush a folder; the names in it stand all the same.
	_ = d.Sync()
	return d.Close()
}

// sweep removes those of the given files that the index does not name, and
// folders that are empty then. What cannot be removed stays: nothing reads it,
// and the next run that writes the same file replaces it.
func (s *Store) sweep(files []string) {
	named := map[string]bool{}
	if s.index != nil {
		named = s.index.files()
	}
	for _, f := range files {
		if named[f] || !ours(f) {
			continue
		}
		_ = os.Remove(s.path(f))
		for dir := path.Dir(f); dir != "."; dir = path.Dir(dir) {
			if os.Remove(s.path(dir)) != nil { // not empty
				break
			}
		}
	}
}

// ours tells whether a path of a journal can be one that the store wrote.
func ours(name string) bool {
	top, _, found := strings.Cut(name, "/")
	return found && filepath.IsLocal(filepath.FromSlash(name)) && path.Clean(name) == name && slices.Contains(layout(), top)
}
