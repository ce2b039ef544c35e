package payload

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_5/types"
)

// Where Ignition's engine puts units and the preset that enables them.
const (
	unitDir    = "/etc/systemd/system"
	presetPath = "/etc/systemd/system-preset/20-ignition.preset"
	nullDevice = "/dev/null"
)

// tree is what a config leaves on the node's filesystem, sorted by the moment
// at which cloud-init can make it: before write_files, by it, or at the end.
type tree struct {
	prepare []string // shell lines, before write_files
	replace []string // paths where a link or folder would stand in a file's way
	writes  []writeFile
	fetches []fetch
	finish  []string // shell lines, after users exist
	// users and groups are those that cloud-init itself makes, and that
	// therefore own nothing before the end.
	users, groups map[string]bool
	masks         bool // some unit is masked
	hostname      string
	problems      []Problem
}

// newTree sorts a config's entries as Ignition does: the shallowest first.
func newTree(c types.Config) (*tree, []Problem) {
	t := &tree{users: map[string]bool{}, groups: map[string]bool{}}
	for _, u := range c.Passwd.Users {
		t.users[u.Name], t.groups[u.Name] = true, true
	}
	for _, g := range c.Passwd.Groups {
		t.groups[g.Name] = true
	}
	for _, i := range byDepth(c.Storage.Directories, func(d types.Directory) string { return d.Path }) {
		t.directory(c.Storage.Directories[i], fmt.Sprintf("storage.directories[%d]", i))
	}
	for i, f := range c.Storage.Files {
		t.file(f, fmt.Sprintf("storage.files[%d]", i))
	}
	for _, i := range byDepth(c.Storage.Links, func(l types.Link) string { return l.Path }) {
		t.link(c.Storage.Links[i], fmt.Sprintf("storage.links[%d]", i))
	}
	t.units(c.Systemd.Units)
	return t, t.problems
}

// byDepth are the indexes of a list, parents before what is in them.
func byDepth[T any](list []T, pathOf func(T) string) []int {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(strings.Count(pathOf(list[a]), "/"), strings.Count(pathOf(list[b]), "/"))
	})
	return order
}

func (t *tree) problem(field, path, message string) {
	t.problems = append(t.problems, Problem{
		Path: fmt.Sprintf("%s (%s)", field, path), Message: message,
		Fix: "leave it out, or choose an os.family that reads Ignition",
	})
}

// accept reports a node that no script or YAML could carry.
func (t *tree) accept(n types.Node, field string) bool {
	who := ownerOf(n)
	switch {
	case odd(n.Path):
		t.problem(field+".path", strconv.Quote(n.Path), "control characters in a path")
	case n.Path == "/" && value(n.Overwrite):
		t.problem(field+".overwrite", n.Path, "this would empty the node")
	case who.user != "" && !ownerName(who.user):
		t.problem(field+".user", n.Path, fmt.Sprintf("%q names no user", who.user))
	case who.group != "" && !ownerName(who.group):
		t.problem(field+".group", n.Path, fmt.Sprintf("%q names no group", who.group))
	default:
		return true
	}
	return false
}

// ownerName refuses what cloud-init would read as something else in user:group.
func ownerName(s string) bool {
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == "" &&
		s[0] != '-' && !strings.EqualFold(s, "none")
}

func (t *tree) directory(d types.Directory, field string) {
	if !t.accept(d.Node, field) {
		return
	}
	p := quote(d.Path)
	if value(d.Overwrite) {
		t.prepare = append(t.prepare, "rm -rf "+p)
	}
	t.prepare = append(t.prepare, "mkdir -p "+p)
	t.owned(d.Node, "", p)
	if d.Mode != nil {
		t.prepare = append(t.prepare, fmt.Sprintf("chmod %04o %s", permissions(d.Mode, 0), p))
	}
}

func (t *tree) link(l types.Link, field string) {
	if !t.accept(l.Node, field) {
		return
	}
	if odd(value(l.Target)) {
		t.problem(field+".target", l.Path, "control characters in a path")
		return
	}
	p, target := quote(l.Path), quote(value(l.Target))
	if value(l.Hard) {
		// The target may be a file that write_files makes.
		t.finish = append(t.finish, "mkdir -p "+quote(path.Dir(l.Path)), "ln -fT "+target+" "+p)
		return
	}
	t.prepare = append(t.prepare, "mkdir -p "+quote(path.Dir(l.Path)))
	if value(l.Overwrite) {
		t.prepare = append(t.prepare, "rm -rf "+p)
	}
	t.prepare = append(t.prepare, "ln -sfT "+target+" "+p)
	t.owned(l.Node, "-h ", p)
}

func (t *tree) file(f types.File, field string) {
	switch {
	case !t.accept(f.Node, field):
		return
	case len(f.Append) > 0:
		t.problem(field+".append", f.Path, "cloud-init cannot append to a file and run twice")
		return
	case f.Contents.Source == nil:
		t.touch(f)
		return
	}
	if value(f.Overwrite) {
		t.replace = append(t.replace, f.Path)
	}
	contents, err := decodeResource(f.Contents)
	switch {
	case errors.Is(err, errRemote):
		t.remote(f, field+".contents")
		return
	case err != nil:
		t.problem(field+".contents", f.Path, err.Error())
		return
	}
	if f.Path == "/etc/hostname" {
		t.hostname = strings.TrimSpace(string(contents))
	}
	t.write(f.Path, permissions(f.Mode, 0o644), f.Node, contents)
}

// touch makes an empty file where there is none and leaves others as they are.
func (t *tree) touch(f types.File) {
	p := quote(f.Path)
	t.prepare = append(t.prepare, "mkdir -p "+quote(path.Dir(f.Path)), "[ -e "+p+" ] || : >"+p)
	t.owned(f.Node, "", p)
	if f.Mode != nil {
		t.prepare = append(t.prepare, fmt.Sprintf("chmod %04o %s", permissions(f.Mode, 0), p))
	}
}

func (t *tree) write(path string, mode uint32, n types.Node, contents []byte) {
	who := ownerOf(n)
	owner := cmp.Or(who.user, "root") + ":" + cmp.Or(who.group, "root")
	if t.late(who) || who.numeric {
		// write_files takes no numbers, and stops at a name it does not know.
		t.finish = append(t.finish, "chown "+owner+" "+quote(path))
		owner = "root:root"
	}
	w, err := newWriteFile(path, mode, owner, contents)
	if err != nil {
		t.problem("storage.files", path, err.Error())
		return
	}
	t.writes = append(t.writes, w)
}

// owned gives a path that exists its owner, at the end when the owner does not
// exist before. What Ignition leaves alone is left alone.
func (t *tree) owned(n types.Node, flag, quoted string) {
	who := ownerOf(n)
	spec := who.user
	if who.group != "" {
		spec += ":" + who.group
	}
	switch line := "chown " + flag + spec + " " + quoted; {
	case spec == "":
	case t.late(who):
		t.finish = append(t.finish, line)
	default:
		t.prepare = append(t.prepare, line)
	}
}

// ownership is who owns a node; "" is not said.
type ownership struct {
	user, group string
	numeric     bool
}

func ownerOf(n types.Node) ownership {
	o := ownership{user: value(n.User.Name), group: value(n.Group.Name)}
	if n.User.ID != nil {
		o.user, o.numeric = strconv.Itoa(*n.User.ID), true
	}
	if n.Group.ID != nil {
		o.group, o.numeric = strconv.Itoa(*n.Group.ID), true
	}
	return o
}

// late tells whether an owner exists only after cloud-init has made its users.
func (t *tree) late(o ownership) bool { return t.users[o.user] || t.groups[o.group] }

// permissions drops the bits that Ignition honours only from spec 3.6.0.
func permissions(mode *int, zero uint32) uint32 {
	if mode == nil {
		return zero
	}
	return uint32(*mode) & 0o777
}

// script prepares the tree for write_files: folders and links exist, and
// nothing stands where a file will be written through it.
func (t *tree) script() string {
	lines := slices.Clone(t.prepare)
	if t.masks {
		// What is masked must not start later in this very boot.
		lines = append(lines, "systemctl daemon-reload || true")
	}
	if len(t.replace) > 0 {
		lines = append(lines, "for f in "+quoteAll(t.replace)+"; do",
			`  if [ -L "$f" ] || [ -d "$f" ]; then rm -rf "$f"; fi`, "done")
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
