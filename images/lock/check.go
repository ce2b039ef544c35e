package lock

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/catalog"
)

// Problem is a place where a lock and a cluster file do not belong together.
type Problem struct {
	Line    int
	Path    string
	Message string
}

// Check compares a lock with what is wanted: nothing may be missing, superfluous
// or of another version. It fetches nothing.
func (l *Located) Check(w Wanted) []Problem {
	c := &checker{lock: l}
	c.same("cluster", l.Cluster, w.Cluster)
	c.same("kubernetes", l.Kubernetes, w.Kubernetes)
	c.same("arch", l.Arch, w.Arch)
	c.same("os", l.OS.Family+" "+l.OS.Channel, w.OS.Family+" "+w.OS.Channel)
	base, version, err := w.base()
	if err != nil {
		c.add("os", "%v", err)
		return c.problems
	}
	c.base(base, version)
	c.programs(w)
	c.packages(w.Packages)
	c.images(w)
	slices.SortStableFunc(c.problems, func(a, b Problem) int { return a.Line - b.Line })
	return c.problems
}

type checker struct {
	lock     *Located
	problems []Problem
}

func (c *checker) add(path, format string, a ...any) {
	at := path
	for c.lock.lines[at] == 0 && strings.Contains(at, ".") {
		at = at[:strings.LastIndexByte(at, '.')]
	}
	c.problems = append(c.problems, Problem{Line: c.lock.Line(at), Path: path, Message: fmt.Sprintf(format, a...)})
}

func (c *checker) same(path, got, want string) {
	if got != want {
		c.add(path, "the lock is for %s, and the cluster file asks for %s", got, want)
	}
}

func (c *checker) base(b catalog.Base, version string) {
	switch has := c.lock.Base; {
	case b.Channel == "" && has != nil:
		c.add("base", "the catalogue has no base for %s, so nothing can be baked from this one", b.Family)
	case b.Channel == "":
	case has == nil:
		c.add("base", "it is missing: the base of %s %s", b.Family, b.Channel)
	case version != "" && has.Version != version:
		c.add("base", "it is version %s, and os.channel asks for %s", has.Version, version)
	case b.Family == "fcos" && has.Signature == nil:
		c.add("base", "the signature over the image is missing")
	default:
		c.lists(b, has)
	}
}

// lists are those of the image and of no other. None at all is what locks have from
// before they were pinned.
func (c *checker) lists(b catalog.Base, has *Base) {
	published := catalog.Lists(b.Family, has.URL)
	for _, p := range has.Packages {
		if !slices.ContainsFunc(published, func(l catalog.List) bool { return l.Name == p.Name && l.URL == p.URL }) {
			c.add("base.packages."+p.Name, "it is not the list of the image %s: `imgforge lock --upgrade base` pins both", has.URL)
		}
	}
}

func (c *checker) programs(w Wanted) {
	needed := programNames(w)
	for _, name := range needed {
		p, ok := c.lock.program(name)
		switch {
		case !ok:
			c.add("programs."+name, "it is missing")
		case (name == "kubelet" || name == "kubectl") && p.Version != w.Kubernetes:
			c.add("programs."+name, "it is version %s, and the cluster file asks for %s", p.Version, w.Kubernetes)
		case name == catalog.Crictl && !sameMinor(p.Version, w.Kubernetes):
			c.add("programs."+name, "version %s is of another minor than Kubernetes %s", p.Version, w.Kubernetes)
		}
	}
	for _, p := range c.lock.Programs {
		if !slices.Contains(needed, p.Name) {
			c.add("programs."+p.Name, "nothing needs it")
		}
	}
}

func sameMinor(a, b string) bool {
	cut := func(v string) string {
		if i := strings.LastIndexByte(v, '.'); i >= 0 {
			return v[:i]
		}
		return v
	}
	return cut(a) == cut(b)
}

func (c *checker) packages(wanted map[string][]string) {
	d := c.lock.Debian
	if d == nil {
		if len(wanted) > 0 {
			c.add("debian", "it is missing, and packages are asked for: %s", describe(wanted))
		}
		return
	}
	if !maps.EqualFunc(d.Wanted, wanted, slices.Equal) {
		c.add("debian.wanted", "the packages of the lock were resolved for %s, and the cluster file asks for %s", describe(d.Wanted), describe(wanted))
	}
	for _, use := range slices.Sorted(maps.Keys(wanted)) {
		for _, name := range wanted[use] {
			if !slices.ContainsFunc(d.Packages, func(p Package) bool { return p.Name == name && slices.Contains(p.Use, use) }) {
				c.add("debian.packages."+name, "it is missing for %s", use)
			}
		}
	}
	for _, p := range d.Packages {
		for _, use := range p.Use {
			if len(wanted[use]) == 0 {
				c.add("debian.packages."+p.Name, "nothing needs it for %s", use)
			}
		}
	}
}

func describe(wanted map[string][]string) string {
	var out []string
	for _, use := range slices.Sorted(maps.Keys(wanted)) {
		out = append(out, use+": "+strings.Join(wanted[use], ", "))
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, "; ")
}

func (c *checker) images(w Wanted) {
	for _, name := range w.Images {
		i, ok := c.lock.image(name)
		made := slices.Contains(w.Made, name)
		switch {
		case !ok:
			c.add("images."+name, "a manifest names it and the lock does not have it")
		case made != i.Made && made:
			c.add("images."+name, "imgforge makes it itself, and the lock names a registry's")
		case made != i.Made:
			c.add("images."+name, "the lock has no digest of it")
		}
	}
	for _, i := range c.lock.Images {
		if !slices.Contains(w.Images, i.Name) {
			c.add("images."+i.Name, "no manifest names it")
		}
	}
}
