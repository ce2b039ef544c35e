package artifact

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Tree is an output folder in the making. Files are streamed into a folder beside
// the final one, so that memory stays flat; [Tree.Commit] then exchanges the two in
// one step. Until then, and after any error or kill, the final folder is as it was.
type Tree struct {
	dir  string // the final folder, symbolic links resolved
	temp string
	lock *os.File
	info TreeInfo

	mu    sync.Mutex
	items map[string]map[string]Entry // part, path

	// fault is called at named steps, so that tests can end the process there.
	fault func(step string)
	// dance avoids the atomic exchange, which not every file system has.
	dance bool
}

// TreeInfo is what the manifests say about the whole folder.
type TreeInfo struct {
	Cluster    string
	LatestBoot string // RFC 3339, UTC
	// Throwaway marks a folder whose keys are stored nowhere: any other may take
	// its place, and it takes the place of no other kind.
	Throwaway bool
	// Sign returns a signature over a manifest; nil leaves manifests unsigned.
	Sign func(manifest []byte) ([]byte, error)
}

// ErrOtherCluster means that the output folder holds another cluster's artifacts.
var ErrOtherCluster = errors.New("of another cluster")

// ErrStored means that the output folder holds artifacts whose keys a store keeps,
// and that those of this build are to be thrown away.
var ErrStored = errors.New("built with a store")

// ErrForeign means that the output folder holds something imgforge did not make.
var ErrForeign = errors.New("not made by imgforge")

// NewTree begins an output folder. dir may be absent, empty, or one that imgforge
// made: anything else is refused with [ErrForeign] and left alone, the artifacts of
// another cluster with [ErrOtherCluster], those that a throwaway build must not take
// the place of with [ErrStored]. It cleans up after runs that were killed, and
// refuses to run beside one that is alive. The caller ends it with [Tree.Commit] or
// [Tree.Abort].
func NewTree(dir string, info TreeInfo) (*Tree, error) {
	resolved, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	if err := recoverTree(resolved); err != nil {
		return nil, err
	}
	if err := replaceable(resolved, info); err != nil {
		return nil, err
	}
	t := &Tree{dir: resolved, info: info, items: map[string]map[string]Entry{}, fault: func(string) {}}
	if t.temp, t.lock, err = makeTemp(resolved); err != nil {
		return nil, err
	}
	for _, part := range parts() {
		t.items[part] = map[string]Entry{}
		if err := t.mkdir(part, "."); err != nil {
			t.Abort()
			return nil, err
		}
	}
	return t, nil
}

// Add streams one file into the tree. It may be called from several goroutines;
// the order of calls leaves no trace.
func (t *Tree) Add(item Item, encode func(io.Writer) error) error {
	if err := t.begin(item); err != nil {
		return err
	}
	sum, size, err := t.write(item.part(), item.Path, encode)
	if err != nil {
		return err
	}
	t.enter(Entry{Item: item, SHA256: sum, Size: size})
	return nil
}

// begin makes room for a file.
func (t *Tree) begin(item Item) error {
	if err := checkItemPath(item.Path); err != nil {
		return fmt.Errorf("add to %s: %w", t.dir, err)
	}
	if err := t.reserve(item.part(), item); err != nil {
		return err
	}
	return t.mkdir(item.part(), filepath.Dir(item.Path))
}

// enter notes a file that is written.
func (t *Tree) enter(e Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.items[e.part()][e.Path] = e
}

// AddBytes is [Tree.Add] for contents that are already in memory.
func (t *Tree) AddBytes(item Item, data []byte) error {
	return t.Add(item, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// reserve claims a path, so that two files of one name are an error.
func (t *Tree) reserve(part string, item Item) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, taken := t.items[part][item.Path]; taken {
		return fmt.Errorf("add to %s: two files are named %s/%s", t.dir, part, item.Path)
	}
	t.items[part][item.Path] = Entry{Item: item}
	return nil
}

// mkdir makes a folder of a part and its parents, with exact modes.
func (t *Tree) mkdir(part, rel string) error {
	mode, _ := partModes(part)
	path := filepath.Join(t.temp, part)
	for _, name := range strings.Split(filepath.ToSlash(rel), "/") {
		path = filepath.Join(path, name)
		err := os.Mkdir(path, mode)
		if err == nil {
			err = os.Chmod(path, mode) // the umask does not apply
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return explain("make folder", path, err)
		}
	}
	return nil
}

// write streams one file and tells its hash and size. Flushing to the disk is
// left to Commit, once for all files.
func (t *Tree) write(part, rel string, encode func(io.Writer) error) (sum string, size int64, err error) {
	_, mode := partModes(part)
	path := filepath.Join(t.temp, part, filepath.FromSlash(rel))
	shown := filepath.Join(t.dir, part, filepath.FromSlash(rel))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", 0, explain("write", shown, err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	h := sha256.New()
	out := &counter{w: io.MultiWriter(f, h)}
	w := bufio.NewWriterSize(out, 64<<10)
	if err := encode(w); err != nil {
		return "", 0, explain("write", shown, err)
	}
	if err := w.Flush(); err != nil {
		return "", 0, explain("write", shown, err)
	}
	if err := f.Chmod(mode); err != nil {
		return "", 0, explain("write", shown, err)
	}
	if err := f.Close(); err != nil {
		return "", 0, explain("write", shown, err)
	}
	return hex.EncodeToString(h.Sum(nil)), out.n, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Commit writes the manifests, flushes everything to the disk and puts the tree
// in the place of the final folder. On an error the final folder is as it was
// and the tree is gone.
func (t *Tree) Commit() (err error) {
	defer func() {
		if err != nil {
			t.Abort()
		}
	}()
	t.fault("files written")
	if err := os.RemoveAll(filepath.Join(t.temp, scratchName)); err != nil {
		return explain("write", t.dir, err)
	}
	for _, part := range parts() {
		if err := t.describe(part); err != nil {
			return err
		}
	}
	if err := os.Chmod(t.temp, 0o755); err != nil {
		return explain("write", t.dir, err)
	}
	t.fault("described")
	if err := flush(t.temp); err != nil {
		return explain("write", t.dir, err)
	}
	// Somebody may have put something there since NewTree looked.
	if err := replaceable(t.dir, t.info); err != nil {
		return err
	}
	if err := t.swap(); err != nil {
		return err
	}
	t.lock.Close()
	return nil
}

// Abort drops the tree and leaves the final folder as it was. After Commit it
// does nothing.
func (t *Tree) Abort() {
	if t.temp != "" {
		os.RemoveAll(t.temp)
		t.temp = ""
	}
	t.lock.Close()
}

// describe writes manifest.json and SHA256SUMS of one part.
func (t *Tree) describe(part string) error {
	m := Manifest{Schema: manifestSchema, Part: part, Cluster: t.info.Cluster, LatestBoot: t.info.LatestBoot, Throwaway: t.info.Throwaway}
	for path, e := range t.items[part] {
		if e.SHA256 == "" {
			return fmt.Errorf("write %s: %s/%s was not written to its end", t.dir, part, path)
		}
		m.Files = append(m.Files, e)
	}
	var text bytes.Buffer
	if err := m.encode(&text); err != nil {
		return err
	}
	sum, err := t.own(part, ManifestName, text.Bytes())
	if err != nil {
		return err
	}
	if t.info.Sign != nil {
		signature, err := t.info.Sign(text.Bytes())
		if err != nil {
			return err
		}
		if _, err := t.own(part, SignatureName, signature); err != nil {
			return err
		}
	}
	_, err = t.own(part, ChecksumsName, m.checksums(sum))
	return err
}

// own writes one of the files that describe a part, which no manifest lists.
func (t *Tree) own(part, name string, data []byte) (sum string, err error) {
	sum, _, err = t.write(part, name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	return sum, err
}

// Public lists the files of the public part that are written so far, in no order.
func (t *Tree) Public() []Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.items[Public]))
}
