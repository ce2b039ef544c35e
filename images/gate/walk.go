package gate

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/imgforge/imgforge/images/ext4"
)

// walk goes over the files of one partition.
type walk struct {
	fs     *ext4.Reader
	name   string
	result *Result
	seen   map[uint32]bool // folders, by inode
	left   int64           // bytes that folders not seen yet can have
}

// deepest is how many folders are gone into one below the other.
const deepest = 256

// beginning is how much of a file is looked at, in bytes.
const beginning = 1 << 20

// programs are the folders of the distribution's own programs and documents, in which
// keys for examples and tests stand.
func programs() []string { return []string{"usr", "bin", "sbin", "lib", "lib64", "lost+found"} }

func (w *walk) root(ctx context.Context) error {
	top, err := w.fs.Lookup("/")
	if err != nil {
		w.unread("/", err)
		return nil
	}
	return w.folder(ctx, "/", top)
}

// folder looks at what is in a folder. A folder has one place, and blocks of its own:
// one that a damaged file system has in itself would never end.
func (w *walk) folder(ctx context.Context, at string, dir ext4.Node) error {
	switch w.left -= dir.Size; {
	case w.seen[dir.Inode]:
		w.unread(at, errors.New("this folder is in another place too: the file system is damaged"))
		return nil
	case w.left < 0:
		w.unread(at, errors.New("its folders are larger than the partition: the file system is damaged"))
		return nil
	case strings.Count(at, "/") > deepest:
		w.unread(at, fmt.Errorf("this is more than %d folders deep", deepest))
		return nil
	}
	w.seen[dir.Inode] = true
	list, err := w.fs.List(dir)
	if err != nil {
		w.unread(at, err)
	}
	for _, n := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := path.Join(at, n.Name)
		switch {
		case at == "/" && slices.Contains(programs(), n.Name):
		case n.Mode.IsDir():
			if err := w.folder(ctx, p, n); err != nil {
				return err
			}
		case n.Mode.IsRegular() && n.Size > 0:
			data, err := w.fs.Read(n, beginning)
			if err != nil {
				w.unread(p, err)
				continue
			}
			w.file(p, data)
		}
	}
	return nil
}

func (w *walk) unread(p string, err error) {
	w.result.Unread = append(w.result.Unread, fmt.Sprintf("%s: %s: %v", w.name, p, err))
}

func (w *walk) found(p, what string) {
	w.result.Findings = append(w.result.Findings, fmt.Sprintf("%s: %s: %s", w.name, p, what))
}

// file judges one file by its place and its contents.
func (w *walk) file(p string, data []byte) {
	base := path.Base(p)
	switch {
	case p == "/etc/shadow" || p == "/etc/gshadow":
		for _, who := range passwords(string(data)) {
			w.found(p, who)
		}
	case p == "/etc/passwd":
		for _, who := range people(string(data)) {
			w.found(p, who)
		}
	case strings.HasPrefix(p, "/etc/ssh/ssh_host_") && strings.HasSuffix(p, "_key"):
		w.found(p, "a host key of SSH, which every machine would share")
	case strings.HasPrefix(base, "authorized_keys") && anyLine(string(data)):
		w.found(p, "SSH keys that may log in")
	case (p == "/etc/machine-id" || p == "/var/lib/dbus/machine-id") && !unsetID(string(data)):
		w.found(p, "a machine id, which every machine would share")
	case PrivateKey(data):
		w.found(p, "a private key")
	}
}

// PrivateKey tells whether a text holds a private key in PEM, and not just the words
// that begin one, which stand in programs.
func PrivateKey(data []byte) bool {
	return regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----\s+(?:[A-Za-z-]+:[^\n]*\s+)*[A-Za-z0-9+/=]{32}`).Match(data)
}

// unsetID tells that systemd makes the id on first boot (machine-id(5)).
func unsetID(text string) bool {
	text = strings.TrimSpace(text)
	return text == "" || text == "uninitialized"
}

func anyLine(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return true
		}
	}
	return false
}

// passwords are the users of a shadow file who have one, or need none: what locks an
// account begins with ! or * (shadow(5)).
func passwords(text string) (found []string) {
	for line := range strings.Lines(text) {
		user, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		hash, _, _ := strings.Cut(rest, ":")
		switch {
		case !ok, strings.HasPrefix(hash, "!"), strings.HasPrefix(hash, "*"), hash == "x":
		case hash == "":
			found = append(found, user+" needs no password")
		default:
			found = append(found, user+" has a password")
		}
	}
	return found
}

// people are the users of a passwd file who are neither the system's nor nobody.
func people(text string) (found []string) {
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 7 {
			continue
		}
		id, err := strconv.Atoi(f[2])
		if err == nil && id >= 1000 && id < 60000 {
			found = append(found, f[0]+" is a user that somebody built it with")
		}
	}
	return found
}
