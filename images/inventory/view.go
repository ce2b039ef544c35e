package inventory

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/attest"
)

// view is what an image looks like once its layers lie on each other.
type view struct {
	folders  map[string]bool
	links    map[string]string
	programs map[string]*program
	texts    map[string][]byte
	rpm      bool
}

func newView() *view {
	return &view{folders: map[string]bool{}, links: map[string]string{}, programs: map[string]*program{}, texts: map[string][]byte{}}
}

// put lays a layer on those that are there.
func (v *view) put(l *layer) {
	for _, p := range l.emptied {
		v.below(p)
	}
	for _, p := range l.removed {
		v.remove(p)
	}
	for p, folder := range l.paths {
		if !folder || !v.folders[p] { // a folder that is there stays, with what it has
			v.remove(p)
		}
		if slices.Contains(rpmFolders(), path.Dir(p)) {
			v.rpm = true
		}
	}
	for p, folder := range l.paths {
		if folder {
			v.folders[p] = true
		}
		for dir := path.Dir(p); dir != "." && !v.folders[dir]; dir = path.Dir(dir) {
			v.folders[dir] = true
		}
	}
	maps.Copy(v.links, l.links)
	maps.Copy(v.programs, l.programs)
	maps.Copy(v.texts, l.texts)
}

// remove takes a path away, and what is below it.
func (v *view) remove(p string) {
	delete(v.links, p)
	delete(v.programs, p)
	delete(v.texts, p)
	if v.folders[p] {
		v.below(p)
		delete(v.folders, p)
	}
}

func (v *view) below(p string) {
	inside := func(at string) bool { return p == "." || strings.HasPrefix(at, p+"/") }
	maps.DeleteFunc(v.folders, func(at string, _ bool) bool { return inside(at) })
	maps.DeleteFunc(v.links, func(at, _ string) bool { return inside(at) })
	maps.DeleteFunc(v.programs, func(at string, _ *program) bool { return inside(at) })
	maps.DeleteFunc(v.texts, func(at string, _ []byte) bool { return inside(at) })
}

// maxLinks is how many links are followed on one way, as Linux does.
const maxLinks = 40

// resolve is where a path leads: /bin/x lies in /usr/bin in most images.
func (v *view) resolve(p string) string {
	done, rest := ".", strings.Split(p, "/")
	for links := 0; len(rest) > 0; {
		done, rest = path.Join(done, rest[0]), rest[1:]
		target, ok := v.links[done]
		if !ok {
			continue
		}
		if links++; links > maxLinks {
			return p
		}
		if !path.IsAbs(target) {
			target = path.Join("/", path.Dir(done), target)
		}
		rest = append(strings.Split(clean(target), "/"), rest...)
		done = "."
	}
	return done
}

// text is the first of several files that is there.
func (v *view) text(names []string) []byte {
	for _, name := range names {
		if text := v.texts[v.resolve(name)]; text != nil {
			return text
		}
	}
	return nil
}

// components are the packages, the programs that no package owns, and the modules of
// all programs, in one order. What is there twice is named once.
func (v *view) components() []attest.Component {
	id, release := distribution(v.text(osRelease()))
	var all []attest.Component
	mine := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(v.texts)) {
		text := v.texts[name]
		switch {
		case name == dpkgStatus, path.Dir(name) == dpkgFolder && path.Ext(name) != ".md5sums":
			vendor := id
			if vendor == "" {
				vendor = "debian"
			}
			all = append(all, dpkg(text, vendor, release)...)
		case slices.Contains(apkInstalled(), name):
			vendor := id
			if vendor == "" {
				vendor = "alpine"
			}
			all = append(all, apk(text, vendor, release)...)
		}
		owned(name, text, func(file string) { mine[v.resolve(file)] = true })
	}
	for _, at := range slices.Sorted(maps.Keys(v.programs)) {
		p := v.programs[at]
		if mine[v.resolve(at)] {
			all = append(all, Modules(p.info)...)
		} else {
			all = append(all, p.components(at)...)
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(c attest.Component) bool {
		had := seen[c.PURL] || c.Digest != "" && seen[c.Digest] // the same program under two names
		seen[c.PURL], seen[c.Digest] = true, true
		return had
	})
}
