package pki

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"
)

// readIdentity reads a file that only its owner can read and that no git work
// tree holds. Pipes and other things that are not files pass: they cannot be
// committed.
func readIdentity(path string) (Identity, error) {
	f, err := os.Open(path)
	if err != nil {
		return Identity{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Identity{}, err
	}
	if info.Mode().IsRegular() {
		if info.Mode().Perm()&0o077 != 0 {
			return Identity{}, fmt.Errorf("%s can be read or written by others (mode %04o): run `chmod 600 %s`", path, info.Mode().Perm(), path)
		}
		if err := outsideGit(path); err != nil {
			return Identity{}, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return Identity{}, fmt.Errorf("read %s: %w", path, err)
	}
	id, err := NewIdentity(string(data))
	if err != nil {
		return Identity{}, fmt.Errorf("%s: %w", path, err)
	}
	id.from = path
	return id, nil
}

// outsideGit refuses a path inside a git work tree, where one `git add` would
// publish it. Links are followed first, and a path that does not exist yet is
// judged by its nearest folder that does.
func outsideGit(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(abs)
	for errors.Is(err, fs.ErrNotExist) && abs != filepath.Dir(abs) {
		abs = filepath.Dir(abs)
		real, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return err
	}
	for dir := real; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return fmt.Errorf("%s is inside the git work tree %s, where it could be committed: move it elsewhere and name it in IMGFORGE_IDENTITY_FILE or IMGFORGE_AUTHORITY_IDENTITY_FILE", path, dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// createIdentity writes a new identity to a path that must not exist. The file
// is complete before it has that name.
func createIdentity(path, role, cluster string) error {
	if err := outsideGit(path); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# imgforge: %s identity of cluster %s; keep it out of git\n# public key: %s\n%s\n", role, cluster, key.Recipient(), key)
	f, err := os.CreateTemp(filepath.Dir(path), ".identity-*") // made 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(b.Bytes()); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path) // unlike a rename, it fails when path exists
}
