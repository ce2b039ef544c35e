package catalog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imgforge/imgforge/images/cache"
)

// Suite is a part of Debian's archive at one moment, which a snapshot keeps.
type Suite struct {
	Release  string // 12 | 13
	Snapshot string // as in 20261121T000000Z
	Security bool
}

// Suites are where packages of a release come from: its own archive and that of
// security updates. The highest version of both wins.
func Suites(release, snapshot string) []Suite {
	return []Suite{{release, snapshot, false}, {release, snapshot, true}}
}

// SnapshotAt is the name of the snapshot at a moment: the archive's state then.
func SnapshotAt(t time.Time) string { return t.UTC().Format("20060102T150405Z") }

func (s Suite) archive() string {
	name := "debian"
	if s.Security {
		name = "debian-security"
	}
	return debianSnapshot + "/" + name + "/" + s.Snapshot
}

func (s Suite) dist() string {
	if s.Security {
		return s.archive() + "/dists/" + codename(s.Release) + "-security"
	}
	return s.archive() + "/dists/" + codename(s.Release)
}

// ReleaseURL is the clear-signed list of the suite's indices.
func (s Suite) ReleaseURL() string { return s.dist() + "/InRelease" }

func index(arch string) string { return "main/binary-" + arch + "/Packages.xz" }

// PackagesURL is the index of packages, compressed with xz.
func (s Suite) PackagesURL(arch string) string { return s.dist() + "/" + index(arch) }

// ParseRelease finds the size and hash of that index in the text of an InRelease
// whose signature was checked, and insists that it is of the suite.
func (s Suite) ParseRelease(text []byte, arch string) (size int64, d cache.Digest, err error) {
	name := strings.TrimPrefix(s.dist()[strings.LastIndex(s.dist(), "/"):], "/")
	if got := field(text, "Codename"); got != name {
		return 0, "", fmt.Errorf("InRelease: it is of %q, not of %s", got, name)
	}
	in := false
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, " ") {
			in = strings.HasPrefix(line, "SHA256:")
			continue
		}
		fields := strings.Fields(line)
		if !in || len(fields) != 3 || fields[2] != index(arch) {
			continue
		}
		size, err = strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return 0, "", fmt.Errorf("InRelease: %q is no size", fields[1])
		}
		d, err = cache.ParseDigest(cache.SHA256 + ":" + fields[0])
		return size, d, err
	}
	return 0, "", fmt.Errorf("InRelease of %s: it has no SHA256 of %s", name, index(arch))
}

func field(text []byte, name string) string {
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Package is one package of an index.
type Package struct {
	Name, Version, Arch string
	URL                 string
	Size                int64 // bytes
	Digest              cache.Digest
	// depends are groups of alternatives, Pre-Depends included.
	depends  [][]string
	provides []string
	// required tells that no system is without it.
	required bool
}

// ParsePackages reads an index (already unpacked) of the suite: paragraphs of
// fields, of which the newest version of each package counts.
func (s Suite) ParsePackages(r io.Reader) ([]Package, error) {
	var out []Package
	fields := map[string]string{}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), 4<<20)
	for {
		more := lines.Scan()
		line := lines.Bytes()
		if len(line) == 0 && len(fields) > 0 {
			p, err := s.packageOf(fields)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
			clear(fields)
		}
		if !more {
			return out, lines.Err()
		}
		if name, value, ok := bytes.Cut(line, []byte(": ")); ok && line[0] != ' ' {
			fields[string(name)] = string(value)
		}
	}
}

func (s Suite) packageOf(f map[string]string) (Package, error) {
	p := Package{Name: f["Package"], Version: f["Version"], Arch: f["Architecture"], URL: s.archive() + "/" + f["Filename"]}
	fail := func(err error) (Package, error) {
		return Package{}, fmt.Errorf("index of packages: package %q: %w", p.Name, err)
	}
	if p.Name == "" || p.Version == "" || f["Filename"] == "" || strings.Contains(f["Filename"], "..") {
		return fail(errors.New("a name, version or file name is missing"))
	}
	var err error
	if p.Size, err = strconv.ParseInt(f["Size"], 10, 64); err != nil {
		return fail(fmt.Errorf("%q is no size", f["Size"]))
	}
	if p.Digest, err = cache.ParseDigest(cache.SHA256 + ":" + f["SHA256"]); err != nil {
		return fail(err)
	}
	for _, group := range slices.Concat(commas(f["Pre-Depends"]), commas(f["Depends"])) {
		var names []string
		for alternative := range strings.SplitSeq(group, "|") {
			names = append(names, packageName(alternative))
		}
		p.depends = append(p.depends, names)
	}
	p.required = f["Essential"] == "yes" || f["Priority"] == "required"
	for _, provided := range commas(f["Provides"]) {
		p.provides = append(p.provides, packageName(provided))
	}
	return p, nil
}

func commas(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// packageName leaves out versions and architectures of a relation: inside one
// release they hold, which Debian's own migration sees to.
func packageName(relation string) string {
	name := strings.TrimSpace(relation)
	if i := strings.IndexAny(name, " (:["); i >= 0 {
		name = name[:i]
	}
	return name
}
