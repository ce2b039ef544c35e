package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgforge/imgforge/images/deb"
)

// imgforgeUser is who imgforge runs as in its own image, and imgforgeHome where its
// cache and identities are looked for there.
const (
	imgforgeUser = 65532
	imgforgeHome = "/home/imgforge"
)

// Imgforge makes imgforge's own image: its programs, by name; the tools that it runs,
// out of Debian packages, with the libraries that they need; and the authorities of
// the package ca-certificates. There is no shell, and it runs as nobody in particular,
// in /data. created is the time of all in it; the same parts give the same image.
func Imgforge(arch string, programs map[string][]byte, packages []*deb.Package, tools []string, created time.Time) (v1.Image, error) {
	fail := func(err error) (v1.Image, error) { return nil, fmt.Errorf("make the image of imgforge: %w", err) }
	shelf, err := deb.NewShelf(arch, packages)
	if err != nil {
		return fail(err)
	}
	r := root{}
	r.imgforgeUsers()
	for name, data := range programs {
		r.file("usr/bin/"+name, 0o755, data)
	}
	for _, name := range tools {
		if err := r.program(shelf, name, "usr/sbin/"+name); err != nil {
			return fail(err)
		}
	}
	trusted, err := authorities(packages)
	if err != nil {
		return fail(err)
	}
	r.file("etc/ssl/certs/ca-certificates.crt", 0o644, trusted)
	data, err := r.layer(created)
	if err != nil {
		return fail(err)
	}
	layer, err := newLayer(data)
	if err != nil {
		return fail(err)
	}
	image, err := assemble(layer, arch, created, v1.Config{Entrypoint: []string{"imgforge"}, Env: []string{searchPath, "HOME=" + imgforgeHome},
		User: fmt.Sprintf("%d:%[1]d", imgforgeUser), WorkingDir: "/data"})
	if err != nil {
		return fail(err)
	}
	return image, nil
}

// imgforgeUsers makes the user and the folders that it, and whatever other user the
// image is run as, may write to.
func (r root) imgforgeUsers() {
	r.file("etc/passwd", 0o644, fmt.Appendf(nil, "root:x:0:0:root:/root:/usr/sbin/nologin\nimgforge:x:%d:%[1]d:imgforge:%s:/usr/sbin/nologin\n", imgforgeUser, imgforgeHome))
	r.file("etc/group", 0o644, fmt.Appendf(nil, "root:x:0:\nimgforge:x:%d:\n", imgforgeUser))
	r["tmp"] = entry{mode: fs.ModeDir | fs.ModeSticky | 0o777}
	for _, dir := range []string{strings.TrimPrefix(imgforgeHome, "/"), "data"} {
		r[dir] = entry{mode: fs.ModeDir | 0o755, owner: imgforgeUser}
	}
}

// authorities are the certificates of Debian's package of them, one after the other,
// as update-ca-certificates puts them together.
func authorities(packages []*deb.Package) ([]byte, error) {
	i := slices.IndexFunc(packages, func(p *deb.Package) bool { return p.Control["Package"] == "ca-certificates" })
	if i < 0 {
		return nil, errors.New("the package ca-certificates is missing")
	}
	found := map[string][]byte{}
	err := packages[i].Walk(func(f deb.File, r io.Reader) error {
		if !strings.HasPrefix(f.Path, "usr/share/ca-certificates/") || path.Ext(f.Path) != ".crt" || !f.Mode.IsRegular() {
			return nil
		}
		data, err := io.ReadAll(r)
		found[f.Path] = append(bytes.TrimSpace(data), '\n')
		return err
	})
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, name := range slices.Sorted(maps.Keys(found)) {
		all = append(all, found[name]...)
	}
	if len(all) == 0 {
		return nil, errors.New("the package ca-certificates holds no certificate")
	}
	return all, nil
}
