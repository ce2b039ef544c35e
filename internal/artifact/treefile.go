package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
)

// Written is a file of a tree in the making.
type Written struct {
	// Path holds it until [Tree.Commit], so that other files can be made of it.
	Path   string
	SHA256 string
	Size   int64 // bytes
}

// AddFile is [Tree.Add] for formats that are not written from beginning to end, or
// have holes: fill gets the file itself, open for reading and writing.
func (t *Tree) AddFile(item Item, fill func(*os.File) error) (Written, error) {
	all, err := t.AddFiles([]Item{item}, func(paths []string) error {
		return WriteOpen(paths[0], 0o600, fill)
	})
	if err != nil {
		return Written{}, err
	}
	return all[0], nil
}

// AddFiles is [Tree.AddFile] for a maker of several files at once, which writes each
// to its path. What the items point to may be filled in until it returns.
func (t *Tree) AddFiles(items []Item, write func(paths []string) error) ([]Written, error) {
	var paths []string
	for _, item := range items {
		if err := t.begin(item); err != nil {
			return nil, err
		}
		paths = append(paths, filepath.Join(t.temp, item.part(), filepath.FromSlash(item.Path)))
	}
	if err := write(paths); err != nil {
		return nil, err
	}
	var all []Written
	for i, item := range items {
		sum, size, err := t.sealed(item.part(), paths[i])
		if err != nil {
			return nil, explain("write", filepath.Join(t.dir, item.part(), filepath.FromSlash(item.Path)), err)
		}
		t.enter(Entry{Item: item, SHA256: sum, Size: size})
		all = append(all, Written{paths[i], sum, size})
	}
	return all, nil
}

// sealed gives a file the mode of its part and tells hash and size.
func (t *Tree) sealed(part, path string) (sum string, size int64, err error) {
	_, mode := partModes(part)
	if err := os.Chmod(path, mode); err != nil { // the umask does not apply
		return "", 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// scratchName is a folder of a tree in the making.
const scratchName = ".scratch"

// Scratch is a folder beside the files of the tree, on the same disk. It is gone
// with the end of the build, however that ends.
func (t *Tree) Scratch() (string, error) {
	dir := filepath.Join(t.temp, scratchName)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", explain("write", t.dir, err)
	}
	return dir, nil
}
