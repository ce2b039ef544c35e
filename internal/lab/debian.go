package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/imgforge/imgforge/images/deb"
	"github.com/imgforge/imgforge/images/debianbase"
)

// choose is packages with all that they need on a machine that has nothing, as apt
// chooses them from the archive of this machine, by its lists. Paths are names of
// files, which fetch puts into a folder.
func (l *Lab) choose(ctx context.Context, names []string) ([]debianbase.Package, error) {
	out, err := l.apt(ctx, "", names, "--print-uris", "-o", "Acquire::ForceHash=SHA256")
	if err != nil {
		return nil, err
	}
	var packages []debianbase.Package
	for line := range strings.Lines(out) {
		fields := strings.Fields(line) // 'URL' FILE SIZE SHA256:HEX
		if len(fields) != 4 || !strings.HasPrefix(fields[3], "SHA256:") {
			continue
		}
		name, version, _ := strings.Cut(fields[1], "_")
		if name == "base-files" && !strings.HasPrefix(version, debianbase.Release+".") {
			return nil, fmt.Errorf("apt has %s, and the base is made of Debian %s: run the lab on Debian %[2]s", fields[1], debianbase.Release)
		}
		packages = append(packages, debianbase.Package{Name: name, Path: fields[1], SHA256: strings.TrimPrefix(fields[3], "SHA256:")})
	}
	if len(packages) == 0 {
		return nil, fmt.Errorf("apt names no package for %s", strings.Join(names, " "))
	}
	return packages, nil
}

// apt has apt-get install packages on a machine that has none, as far as more says.
// It takes packages into archives; without one, into a folder that goes.
func (l *Lab) apt(ctx context.Context, archives string, names []string, more ...string) (string, error) {
	empty, err := os.MkdirTemp("", "imgforge-lab-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(empty)
	archives = cmp.Or(archives, filepath.Join(empty, "archives"))
	status := filepath.Join(empty, "status")
	if err := errors.Join(os.WriteFile(status, nil, 0o644), os.MkdirAll(filepath.Join(archives, "partial"), 0o755)); err != nil {
		return "", err
	}
	args := append([]string{"install", "-qq", "-y", "-o", "Dir::State::status=" + status, "-o", "Dir::Cache::archives=" + archives,
		"-o", "APT::Install-Recommends=false", "-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1"}, more...)
	out, err := l.run(ctx, "apt-get", append(args, names...)...)
	if err != nil {
		err = fmt.Errorf("%w: where apt knows no such package, run apt-get update", err)
	}
	return out, err
}

// fetch has apt download packages into a folder.
func (l *Lab) fetch(ctx context.Context, dir string, names []string) error {
	_, err := l.apt(ctx, dir, names, "--download-only")
	return err
}

// contentOfPackages names packages by their content.
func contentOfPackages(packages []debianbase.Package) (parts []string) {
	for _, p := range packages {
		parts = append(parts, p.Name, p.SHA256)
	}
	return parts
}

// opened calls use with packages and what they need, verified. They stay in the cache.
func (l *Lab) opened(ctx context.Context, names []string, packages []debianbase.Package, use func([]*deb.Package) error) error {
	dir, err := l.cached("debs", keyOf(contentOfPackages(packages)), func(dir string) error { return l.fetch(ctx, dir, names) })
	if err != nil {
		return err
	}
	var all []*deb.Package
	for _, p := range packages {
		f, err := os.Open(filepath.Join(dir, p.Path))
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		opened, err := deb.Open(f, info.Size(), p.SHA256)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Path, err)
		}
		all = append(all, opened)
	}
	return use(all)
}
