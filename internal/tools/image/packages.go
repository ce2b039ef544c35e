package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/deb"
)

//go:embed packages.txt
var pinned string

// places keep Debian's packages: the archive for as long as they are current, and
// snapshots for ever. Hashes are pinned, so neither is trusted.
func places(at string) []cache.Source {
	archive, rest, _ := strings.Cut(at, "/")
	return []cache.Source{
		{URL: "https://deb.debian.org/" + at},
		{URL: "https://snapshot.debian.org/archive/" + archive + "/20261121T000000Z/" + rest},
	}
}

// packagesFor fetches the packages of an architecture into the cache and opens them.
func packagesFor(ctx context.Context, arch string) ([]*deb.Package, error) {
	files, err := wanted(arch)
	if err != nil {
		return nil, err
	}
	c, err := downloads()
	if err != nil {
		return nil, err
	}
	if err := c.Fetch(ctx, files); err != nil {
		return nil, err
	}
	var out []*deb.Package
	for _, f := range files {
		data, err := c.Read(f.Digest)
		if err != nil {
			return nil, err
		}
		p, err := deb.Open(bytes.NewReader(data), int64(len(data)), f.Digest.Hex())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// wanted are the pinned packages of an architecture.
func wanted(arch string) ([]cache.File, error) {
	var out []cache.File
	for line := range strings.Lines(pinned) {
		fields := strings.Fields(line)
		if len(fields) != 4 || fields[0] != arch {
			continue
		}
		size, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("packages.txt: %q is no size", fields[2])
		}
		d, err := cache.ParseDigest("sha256:" + fields[3])
		if err != nil {
			return nil, fmt.Errorf("packages.txt: %w", err)
		}
		from := places(fields[1])
		out = append(out, cache.File{Name: path.Base(fields[1]), URL: from[0].URL, From: from, Size: size, Digest: d})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("packages.txt has no packages for %q: choose among amd64 and arm64", arch)
	}
	return out, nil
}
