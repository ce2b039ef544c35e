package artifact

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// tempPattern names unfinished files. It is short and independent of the final
// name, so that a name of the longest length the file system allows still works.
const tempPattern = ".imgforge-tmp-*"

// WriteFile makes path appear with exactly the permission bits of mode and
// whatever encode writes, or leaves what was there before. The bytes go to a
// temporary file in the same folder, which is flushed to the disk and renamed;
// on any error the temporary file is removed. The folder must exist.
func WriteFile(path string, mode fs.FileMode, encode func(io.Writer) error) error {
	return WriteOpen(path, mode, func(f *os.File) error {
		w := bufio.NewWriterSize(f, 64<<10)
		if err := encode(w); err != nil {
			return err
		}
		return w.Flush()
	})
}

// WriteOpen is [WriteFile] for formats that are not written from beginning to end,
// or have holes: fill gets the temporary file itself, open for reading and writing.
func WriteOpen(path string, mode fs.FileMode, fill func(*os.File) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		return explain("write", path, err)
	}
	defer func() {
		if err != nil {
			f.Close() // closed twice when Close itself failed: harmless
			os.Remove(f.Name())
		}
	}()
	// The umask does not apply to chmod, and the file is 0600 until here.
	if err := f.Chmod(mode.Perm()); err != nil {
		return explain("write", path, err)
	}
	if err := fill(f); err != nil {
		return explain("write", path, err)
	}
	if err := f.Sync(); err != nil {
		return explain("write", path, err)
	}
	if err := f.Close(); err != nil {
		return explain("write", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return explain("write", path, err)
	}
	return syncDir(dir)
}

// WriteBytes is [WriteFile] for contents that are already in memory.
func WriteBytes(path string, mode fs.FileMode, data []byte) error {
	return WriteFile(path, mode, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// syncDir makes the names inside a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return explain("open", dir, err)
	}
	defer d.Close()
	// Some network file systems refuse to sync a folder; the rename stands all the same.
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return explain("sync", dir, err)
	}
	return nil
}

// explain adds to an error of the file system what to do about it. The text of
// a *fs.PathError names the temporary file, which nobody asked for: only its
// cause is kept.
func explain(verb, path string, err error) error {
	cause := err
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		cause = pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		cause = le.Err
	}
	dir := filepath.Dir(path)
	switch {
	case errors.Is(cause, syscall.ENOSPC), errors.Is(cause, syscall.EDQUOT):
		return fmt.Errorf("%s %s: %w: free some space in %s, or choose a folder on another disk; nothing was changed", verb, path, cause, dir)
	case errors.Is(cause, syscall.EROFS), errors.Is(cause, fs.ErrPermission):
		return fmt.Errorf("%s %s: %w: make %s writable for this user, or choose another folder; nothing was changed", verb, path, cause, dir)
	case errors.Is(cause, fs.ErrNotExist):
		return fmt.Errorf("%s %s: %w: make the folder %s first", verb, path, cause, dir)
	}
	return fmt.Errorf("%s %s: %w", verb, path, cause)
}
