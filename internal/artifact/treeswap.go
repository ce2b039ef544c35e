package artifact

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Names beside the final folder "out": .out.imgforge-new-XXXX is a tree in the
// making, locked by its maker while it lives; .out.imgforge-old is the former
// folder, during the moment in which two renames stand in for one exchange.
func newPrefix(dir string) string { return "." + filepath.Base(dir) + ".imgforge-new-" }
func oldName(dir string) string {
	return filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".imgforge-old")
}

// resolve makes dir absolute and follows it when it is a symbolic link, so that
// the temporary folder lies on the same file system and the link stays.
func resolve(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("output folder %s: %w", dir, err)
	}
	if _, err := os.Lstat(abs); errors.Is(err, fs.ErrNotExist) {
		return abs, nil
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", explain("open output folder", abs, err)
	}
	return real, nil
}

const moveAway = "nothing was changed: choose another folder with -o, or move it away"

// replaceable is nil when dir may be replaced as a whole by a tree of info.
func replaceable(dir string, info TreeInfo) error {
	found, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return explain("open output folder", dir, err)
	}
	if !found.IsDir() {
		return fmt.Errorf("output folder %s is a file: %w; %s", dir, ErrForeign, moveAway)
	}
	name, empty, err := foreign(dir)
	switch {
	case empty:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return explain("open output folder", dir, err)
	case err != nil:
		return fmt.Errorf("output folder %s is %w: %w; %s", dir, ErrForeign, err, moveAway)
	case name != "":
		return fmt.Errorf("output folder %s holds %s, which is %w; %s", dir, name, ErrForeign, moveAway)
	}
	return succeeds(dir, info)
}

// succeeds refuses to put a tree in the place of another cluster's, or of
// artifacts that machines may boot from when its own are to be thrown away.
func succeeds(dir string, info TreeInfo) error {
	m, err := ReadManifest(dir, Public)
	if err != nil {
		return fmt.Errorf("output folder %s: %w", dir, err)
	}
	switch {
	case m.Throwaway:
		return nil
	case m.Cluster != info.Cluster:
		return fmt.Errorf("output folder %s holds artifacts %w, %q, and this one is %q; %s", dir, ErrOtherCluster, m.Cluster, info.Cluster, moveAway)
	case info.Throwaway:
		return fmt.Errorf("output folder %s holds artifacts of %q %w, and these are to be thrown away; %s", dir, m.Cluster, ErrStored, moveAway)
	}
	return nil
}

// makeTemp makes and locks the folder of a new tree.
func makeTemp(dir string) (string, *os.File, error) {
	parent := filepath.Dir(dir)
	temp, err := os.MkdirTemp(parent, newPrefix(dir))
	if err != nil {
		return "", nil, explain("write", dir, err)
	}
	lock, err := lockDir(temp)
	if err != nil {
		os.RemoveAll(temp)
		return "", nil, fmt.Errorf("write %s: lock %s: %w", dir, temp, err)
	}
	return temp, lock, nil
}

// lockDir takes the lock that lives as long as this process. The error is
// EWOULDBLOCK when somebody else has it.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// recoverTree finishes what a killed run left: a former folder without a
// successor is put back, everything else of dead runs is removed.
func recoverTree(dir string) error {
	parent := filepath.Dir(dir)
	entries, err := os.ReadDir(parent)
	if err != nil {
		return explain("open the folder above", dir, err)
	}
	var dead []string
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), newPrefix(dir)) {
			continue
		}
		path := filepath.Join(parent, e.Name())
		lock, err := lockDir(path)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("another imgforge is writing %s: wait for it to end and run again", dir)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return explain("recover", path, err)
		}
		if err == nil {
			defer lock.Close()
		}
		dead = append(dead, path)
	}
	old := oldName(dir)
	if _, err := os.Lstat(old); err == nil {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			if err := os.Rename(old, dir); err != nil {
				return explain("recover", dir, err)
			}
		} else {
			dead = append(dead, old)
		}
	}
	for _, path := range dead {
		if err := os.RemoveAll(path); err != nil {
			return explain("remove what a killed run left in", path, err)
		}
	}
	return nil
}

// swap puts the new tree in the place of the final folder and removes the
// former one. A failure to remove it is not one of the build: the next run does.
func (t *Tree) swap() error {
	entries, err := os.ReadDir(t.dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		// The system call replaces an empty folder in one step; os.Rename refuses to.
		err = syscall.Rename(t.temp, t.dir)
	} else if err == nil {
		err = t.exchange()
	}
	if err != nil {
		return explain("replace", t.dir, err)
	}
	t.fault("swapped")
	former := t.temp
	t.temp = "" // from here on there is nothing to abort
	if err := syncDir(filepath.Dir(t.dir)); err != nil {
		return err
	}
	os.RemoveAll(former)
	os.RemoveAll(oldName(t.dir))
	return nil
}

// exchange swaps the new tree and the final folder: in one step where the file
// system can, else with two renames that recoverTree can finish.
func (t *Tree) exchange() error {
	if !t.dance {
		err := renameExchange(t.temp, t.dir)
		if err == nil || !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	old := oldName(t.dir)
	if err := os.Rename(t.dir, old); err != nil {
		return err
	}
	t.fault("moved away")
	if err := os.Rename(t.temp, t.dir); err != nil {
		return errors.Join(err, os.Rename(old, t.dir))
	}
	return nil
}
