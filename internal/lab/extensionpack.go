package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/imgforge/imgforge/images/deb"
	"github.com/imgforge/imgforge/images/squashfs"
	"github.com/imgforge/imgforge/images/sysext"
	"github.com/imgforge/imgforge/internal/plan"
)

// packed is a system extension as an image, for machines with a kernel of their own.
type packed struct {
	name    string
	content string // names what is in it
	write   func(io.WriterAt) (int64, error)
}

// agentPackage has the program that runs the lab's looks inside of a machine.
const agentPackage, agentProgram = "qemu-guest-agent", "qemu-ga"

// machineExtensions calls use with the product's system extension of a plan, and the
// lab's with what its checks call: both can be written until use returns.
func (l *Lab) machineExtensions(ctx context.Context, p *plan.Plan, use func([]packed) error) error {
	return l.extensionOf(ctx, p, func(e sysext.Extension, _ map[string]string) error {
		entries, err := e.Entries()
		if err != nil {
			return err
		}
		content, err := contentOfExtension(e.Files, entries)
		if err != nil {
			return err
		}
		product := packed{sysext.Name, content, func(w io.WriterAt) (int64, error) { return sysext.Write(w, e) }}
		return l.packaged(ctx, []string{agentPackage}, func(all []*deb.Package) error {
			own, err := l.ownPacked(all)
			if err != nil {
				return err
			}
			return use([]packed{product, own})
		})
	})
}

// ownPacked is the lab's extension of virtual machines.
func (l *Lab) ownPacked(all []*deb.Package) (packed, error) {
	files, err := l.built(map[string]string{"usr/bin/etcdctl": "etcdctl"})
	if err != nil {
		return packed{}, err
	}
	agent, err := sysext.FromPackages("amd64", all, []string{agentProgram})
	if err != nil {
		return packed{}, err
	}
	files = append(append(files, agent...), sysext.Bytes("usr/lib/extension-release.d/extension-release."+ownExtension, 0o644, []byte("ID=_any\n")))
	var entries []squashfs.Entry
	for _, f := range files {
		entries = append(entries, squashfs.Entry{Path: f.Path, Mode: f.Mode, Size: f.Size, Open: f.Open, ModTime: treeTime})
	}
	content, err := contentOfExtension(files, entries)
	return packed{ownExtension, content, func(w io.WriterAt) (int64, error) {
		return squashfs.Write(w, entries, squashfs.Options{Time: treeTime, BlockSize: sysext.BlockSize})
	}}, err
}

// contentOfExtension names what an extension holds: files by their digests, and what it
// has besides by its bytes.
func contentOfExtension(files []sysext.File, entries []squashfs.Entry) (string, error) {
	sums := map[string]string{}
	for _, f := range files {
		sums[f.Path] = f.SHA256
	}
	var parts []string
	for _, e := range entries {
		content := sums[e.Path]
		if content == "" && e.Mode.IsRegular() {
			data, err := read(e)
			if err != nil {
				return "", err
			}
			content = keyOf([]string{string(data)})
		}
		parts = append(parts, fmt.Sprintf("%s %o %s %s", e.Path, e.Mode, e.Target, content))
	}
	slices.Sort(parts)
	return keyOf(parts), nil
}

func read(e squashfs.Entry) ([]byte, error) {
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// file writes the image into a new file.
func (p packed) file(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	_, err = p.write(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("pack the extension %s: %w", p.name, err)
	}
	return nil
}
