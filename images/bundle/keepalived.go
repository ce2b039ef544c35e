package bundle

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgforge/imgforge/images/deb"
)

// helperPath is where keepalived's configuration calls imgforge-node.
const helperPath = "usr/bin/imgforge-node"

// Keepalived makes the image of keepalived from Debian packages: the program, the
// libraries that it needs, and imgforge-node, which it runs as check and as notify
// hook. There is no shell: its scripts are programs. The packages must hold every
// library, as those of keepalived and all that it depends on do. created is the time
// of all in it. The same packages and helper give the same image.
func Keepalived(arch string, packages []*deb.Package, helper []byte, created time.Time) (v1.Image, error) {
	fail := func(err error) (v1.Image, error) { return nil, fmt.Errorf("make the image of keepalived: %w", err) }
	shelf, err := deb.NewShelf(arch, packages)
	if err != nil {
		return fail(err)
	}
	r := root{}
	r.users()
	r.file(helperPath, 0o755, helper)
	if err := r.program(shelf, "keepalived", "usr/sbin/keepalived"); err != nil {
		return fail(err)
	}
	data, err := r.layer(created)
	if err != nil {
		return fail(err)
	}
	layer, err := newLayer(data)
	if err != nil {
		return fail(err)
	}
	image, err := assemble(layer, arch, created, v1.Config{Entrypoint: []string{"keepalived"}, Env: []string{searchPath}})
	if err != nil {
		return fail(err)
	}
	return image, nil
}

// searchPath is where an image's programs are looked for.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func assemble(layer v1.Layer, arch string, created time.Time, run v1.Config) (v1.Image, error) {
	at := v1.Time{Time: created.UTC()}
	start := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(start, mutate.Addendum{Layer: layer, History: v1.History{Created: at, CreatedBy: "imgforge"}})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", arch, at
	config.Config = run
	return mutate.ConfigFile(image, config)
}

// root is the root of an image, by path.
type root map[string]entry

type entry struct {
	mode   fs.FileMode
	data   []byte
	target string
	owner  int // user and group
}

// program puts a program of packages at a path, and beside it what it needs.
func (r root) program(shelf *deb.Shelf, name, at string) error {
	program, libraries, err := shelf.Program(name)
	if err != nil {
		return err
	}
	r.file(at, 0o755, program.Data)
	for _, p := range append(libraries, program) {
		if p.Name != program.Name {
			// Where the loader looks, under the name that programs ask for.
			r.file(path.Join(path.Dir(p.Path), p.Name), 0o755, p.Data)
		}
		if text := shelf.License(p.From); text != nil {
			r.file("usr/share/doc/"+p.From.Control["Package"]+"/copyright", 0o644, text)
		}
		if p.Name == path.Base(program.Loader) {
			r.link(strings.TrimPrefix(program.Loader, "/"), "/"+path.Join(path.Dir(p.Path), p.Name))
		}
	}
	return nil
}

func (r root) file(path string, mode fs.FileMode, data []byte) {
	r[path] = entry{mode: mode, data: data}
}

func (r root) link(path, target string) {
	r[path] = entry{mode: fs.ModeSymlink | 0o777, target: target}
}

// users names the users that keepalived looks up: without root it drops its scripts,
// says so in one line, and runs on.
func (r root) users() {
	r.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"))
	r.file("etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n"))
	for _, dir := range []string{"run", "tmp", "etc/keepalived"} { // where it writes, and is mounted over
		r[dir] = entry{mode: fs.ModeDir | 0o755}
	}
}

// layer is the root as an archive, in the order of paths.
func (r root) layer(created time.Time) ([]byte, error) {
	for _, p := range slices.Collect(maps.Keys(r)) {
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			if e, ok := r[dir]; ok && !e.mode.IsDir() {
				return nil, fmt.Errorf("%s lies below %s, which is no folder", p, dir)
			}
			r[dir] = entry{mode: fs.ModeDir | 0o755}
		}
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, p := range slices.Sorted(maps.Keys(r)) {
		e := r[p]
		mode := int64(e.mode.Perm())
		if e.mode&fs.ModeSticky != 0 {
			mode |= 0o1000
		}
		h := &tar.Header{Name: p, Mode: mode, ModTime: created.Truncate(time.Second), Format: tar.FormatUSTAR, Uid: e.owner, Gid: e.owner,
			Typeflag: tar.TypeReg, Size: int64(len(e.data)), Linkname: e.target}
		switch {
		case e.mode.IsDir():
			h.Typeflag, h.Name = tar.TypeDir, p+"/"
		case e.target != "":
			h.Typeflag = tar.TypeSymlink
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.Copy(w, bytes.NewReader(e.data)); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil { // which writes the end
		return nil, err
	}
	return b.Bytes(), nil
}
