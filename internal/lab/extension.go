package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/deb"
	"github.com/imgforge/imgforge/images/squashfs"
	"github.com/imgforge/imgforge/images/sysext"
	"github.com/imgforge/imgforge/internal/plan"
)

// ownExtension is the lab's, beside the product's: what its checks call inside of a
// node, and what stands in for the kernel.
const ownExtension = "imgforge-lab"

// Extensions are the folders that nodes of a cluster have in /etc/extensions: the
// product's system extension, laid out instead of packed since containers have no loop
// devices, and the lab's own with more programs. They end with the lab.
func (l *Lab) Extensions(ctx context.Context, p *plan.Plan, more ...string) ([]string, error) {
	dir := filepath.Join(l.work, "extensions", sysext.Name)
	if err := l.productExtension(ctx, dir, p); err != nil {
		return nil, fmt.Errorf("lay out the system extension: %w", err)
	}
	own, err := l.OwnExtension(ownExtension, more...)
	return []string{dir, own}, err
}

// OwnExtension lays programs out as a system extension of the lab.
func (l *Lab) OwnExtension(name string, programs ...string) (string, error) {
	dir := filepath.Join(l.work, "extensions", name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	release := filepath.Join(dir, "usr/lib/extension-release.d/extension-release."+name)
	if err := os.MkdirAll(filepath.Dir(release), 0o755); err != nil {
		return "", err
	}
	for _, program := range programs {
		if err := l.place(filepath.Join(dir, "usr/bin"), program, program); err != nil {
			return "", err
		}
	}
	return dir, os.WriteFile(release, []byte("ID=_any\n"), 0o644)
}

// productExtension lays out what sysext.Write would pack. The lab's own programs are
// links to where they were built.
func (l *Lab) productExtension(ctx context.Context, dir string, p *plan.Plan) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return l.extensionOf(ctx, p, func(e sysext.Extension, links map[string]string) error { return l.layOutExtension(dir, e, links) })
}

// extensionOf calls use with the product's system extension of a plan, which can be read
// until use returns. built are the names of the programs in it that the lab built, by path.
func (l *Lab) extensionOf(ctx context.Context, p *plan.Plan, use func(e sysext.Extension, built map[string]string) error) error {
	ships, err := catalog.ShipsOf(p.OS.Family, p.OS.Channel, "amd64")
	if err != nil {
		return err
	}
	e := sysext.Extension{Family: p.OS.Family, Arch: "amd64", Time: treeTime,
		Shipped: sysext.Shipped{Containerd: ships.Containerd, Conntrack: ships.Conntrack, Ethtool: ships.Ethtool, Nft: ships.Nft, WireGuard: ships.WireGuard}}
	built := map[string]string{}
	// Others than the lab's: runc is Debian's, whose libraries every Debian has.
	packaged, names := []string(nil), []string{"runc"}
	for _, program := range sysext.Programs(e.Shipped) {
		switch {
		case program.Debian != "" && (program.For == "" || program.For == p.Network.Mesh):
			packaged, names = append(packaged, program.Name), append(names, program.Debian)
		case program.Debian == "" && program.Name != "runc":
			built[program.Path] = toolOf(program)
		}
	}
	if e.Files, err = l.built(built); err != nil {
		return err
	}
	return l.packaged(ctx, names, func(all []*deb.Package) error {
		shelf, err := deb.NewShelf(e.Arch, all)
		if err != nil {
			return err
		}
		runc, _, err := shelf.Program("runc")
		if err != nil {
			return err
		}
		files, err := sysext.FromPackages(e.Arch, all, packaged)
		if err != nil {
			return err
		}
		e.Files = append(append(e.Files, files...), sysext.Bytes("usr/bin/runc", 0o755, runc.Data))
		return use(e, built)
	})
}

// packaged calls use with Debian's packages of names and what they need, verified.
func (l *Lab) packaged(ctx context.Context, names []string, use func([]*deb.Package) error) error {
	packages, err := l.choose(ctx, names)
	if err != nil {
		return err
	}
	return l.opened(ctx, names, packages, use)
}

// toolOf is the lab's name of a program of the extension.
func toolOf(p sysext.Program) string {
	if strings.HasPrefix(p.Path, sysext.CNIFolder+"/") {
		return "cni-" + p.Name
	}
	return p.Name
}

// built are programs of the lab, given by path, as files of an extension.
func (l *Lab) built(programs map[string]string) ([]sysext.File, error) {
	var files []sysext.File
	for at, name := range programs {
		path, err := l.Tool(name)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		sum, err := l.contentOf(name)
		if err != nil {
			return nil, err
		}
		files = append(files, sysext.File{Path: at, Mode: 0o755, Size: info.Size(), SHA256: sum, Open: func() (io.ReadCloser, error) { return os.Open(path) }})
	}
	return files, nil
}

// layOutExtension makes the folder, with links to the programs that the lab built.
func (l *Lab) layOutExtension(dir string, e sysext.Extension, links map[string]string) error {
	entries, err := e.Entries()
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e squashfs.Entry) bool { return links[e.Path] != "" })
	if err := layOut(dir, entries); err != nil {
		return err
	}
	for at, name := range links {
		if err := l.place(filepath.Join(dir, filepath.Dir(at)), name, filepath.Base(at)); err != nil {
			return err
		}
	}
	return nil
}
