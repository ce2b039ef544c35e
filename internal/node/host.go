// Package node is what imgforge-node does on a machine: it claims the machine's
// identity, checks what keepalived asks about, and records what keepalived tells.
// It changes nothing outside the root it is given.
package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// host is the machine, or a folder that stands in for its root.
type host struct {
	root string // "/" on a node
	// fault is called at named steps, so that tests can end the process there.
	fault func(step string)
}

func (h host) at(step string) {
	if h.fault != nil {
		h.fault(step)
	}
}

func (h host) path(name string) string { return filepath.Join(h.root, name) }

// read returns a file without white space around it; "" when there is none.
func (h host) read(name string) string {
	data, err := os.ReadFile(h.path(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func (h host) exists(name string) bool {
	_, err := os.Lstat(h.path(name))
	return err == nil
}

// hostname is what the kernel says, else what will be set.
func (h host) hostname() string {
	if name := h.read("/proc/sys/kernel/hostname"); name != "" && name != "(none)" {
		return name
	}
	return h.read("/etc/hostname")
}

// kernelArguments are the values of every NAME=value on the kernel command line.
func (h host) kernelArguments(name string) []string {
	var out []string
	for word := range strings.FieldsSeq(h.read("/proc/cmdline")) {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			out = append(out, strings.Trim(value, `"`))
		}
	}
	return out
}

// macs are the hardware addresses of the machine, sorted, without those of
// loopbacks and tunnels.
func (h host) macs() []string {
	files, err := filepath.Glob(h.path("/sys/class/net/*/address"))
	if err != nil {
		return nil // the pattern is a constant
	}
	var out []string
	for _, f := range files {
		data, err := os.ReadFile(f)
		mac := strings.ToLower(strings.TrimSpace(string(data)))
		if err == nil && len(mac) == len("52:54:00:12:34:56") && mac != "00:00:00:00:00:00" {
			out = append(out, mac)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// owner resolves user and group names, or numbers, against the root's own
// files, which need not be those of the running system.
func (h host) owner(user, group string) (uid, gid int, err error) {
	if uid, err = h.lookup("/etc/passwd", user); err != nil {
		return 0, 0, fmt.Errorf("user %w", err)
	}
	if gid, err = h.lookup("/etc/group", group); err != nil {
		return 0, 0, fmt.Errorf("group %w", err)
	}
	return uid, gid, nil
}

func (h host) lookup(file, name string) (int, error) {
	if name == "" || name == "root" {
		return 0, nil
	}
	if id, err := strconv.Atoi(name); err == nil && id >= 0 {
		return id, nil
	}
	for line := range strings.Lines(h.read(file)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) > 2 && fields[0] == name {
			return strconv.Atoi(fields[2])
		}
	}
	return 0, fmt.Errorf("%q is not in %s", name, file)
}

// remove deletes a file or folder; that it is not there is fine.
func (h host) remove(name string) error {
	err := os.RemoveAll(h.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
