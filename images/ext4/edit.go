package ext4

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// ErrNoFile means that there is no entry of a path.
var ErrNoFile = errors.New("it is not there")

// Editor reads and changes the file system that fills one file, which needs no name.
type Editor struct {
	file *os.File
	// time is what debugfs takes for now, in seconds since 1970.
	time int64
}

// File is one file to write; Path is absolute. Folders above it that are missing
// are made with FolderMode.
type File struct {
	Path             string
	Mode, FolderMode uint32 // permission bits
	Label            string // of SELinux, for the file and the folders made; "" for none
	Contents         []byte
}

// Tools are the programs of e2fsprogs that an Editor runs.
func Tools() []string { return []string{"debugfs", "e2fsck"} }

// Edit opens the file system in a file. It must be clean and without a fault.
func Edit(ctx context.Context, file *os.File, time int64) (*Editor, error) {
	if err := clean(file); err != nil {
		return nil, err
	}
	e := &Editor{file, time}
	return e, e.check(ctx)
}

// image is the name by which the programs open the file: the first that they
// inherit. inherited is that of the n-th after it.
const image = "/dev/fd/3"

func inherited(n int) string { return fmt.Sprintf("/dev/fd/%d", 4+n) }

// check lets e2fsck look; it changes nothing.
func (e *Editor) check(ctx context.Context) error {
	_, err := e.run(ctx, "e2fsck", nil, nil, "-fn", image)
	return err
}

// run runs a program with its clock set and its messages in English.
func (e *Editor) run(ctx context.Context, name string, stdin []byte, more []*os.File, args ...string) (stdout []byte, err error) {
	program, err := Find(name)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "E2FSPROGS_FAKE_TIME="+strconv.FormatInt(e.time, 10), "SOURCE_DATE_EPOCH="+strconv.FormatInt(e.time, 10),
		"LC_ALL=C", "TZ=UTC0", "DEBUGFS_PAGER=cat", "PAGER=cat")
	cmd.ExtraFiles = append([]*os.File{e.file}, more...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(errs.String()+out.String()))
	}
	// The first line of its errors is its version; any other is a failure that its
	// exit code hides.
	_, complaint, _ := strings.Cut(strings.TrimSpace(errs.String()), "\n")
	if name == "debugfs" && complaint != "" {
		if strings.Contains(complaint, "File not found") {
			return nil, ErrNoFile
		}
		return nil, fmt.Errorf("debugfs: %s", complaint)
	}
	return out.Bytes(), nil
}

// Find is the path of a program of e2fsprogs: Debian keeps them out of a user's PATH.
func Find(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	for _, dir := range [...]string{"/usr/sbin", "/sbin", "/usr/local/sbin", "/opt/homebrew/opt/e2fsprogs/sbin", "/usr/local/opt/e2fsprogs/sbin"} {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s is needed to edit ext4 file systems: install e2fsprogs", name)
}

// plainPath is what debugfs takes without quotes of its own.
func plainPath(p string) error {
	if !path.IsAbs(p) || path.Clean(p) != p || strings.ContainsAny(p, "\"\\\n\r\t") {
		return fmt.Errorf("the path %q cannot be used", p)
	}
	return nil
}

func (e *Editor) query(ctx context.Context, verb, p string) ([]byte, error) {
	if err := plainPath(p); err != nil {
		return nil, err
	}
	out, err := e.run(ctx, "debugfs", nil, nil, "-R", verb+` "`+p+`"`, image)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	return out, nil
}

// ReadFile is the contents of a file.
func (e *Editor) ReadFile(ctx context.Context, p string) ([]byte, error) {
	// cat prints nothing for what is not a file: stat tells.
	if _, err := e.stat(ctx, p); err != nil {
		return nil, err
	}
	return e.query(ctx, "cat", p)
}

// Exists tells whether there is an entry of a path.
func (e *Editor) Exists(ctx context.Context, p string) (bool, error) {
	_, err := e.stat(ctx, p)
	if errors.Is(err, ErrNoFile) {
		return false, nil
	}
	return err == nil, err
}

// List is the names in a folder, in the order of the folder; links on the way are
// followed, below the top of the file system.
func (e *Editor) List(ctx context.Context, p string) ([]string, error) {
	out, err := e.query(ctx, "ls -p", p)
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		// /inode/mode/user/group/name/size/
		f := strings.Split(strings.TrimSpace(line), "/")
		if len(f) == 8 && f[1] != "0" && f[5] != "." && f[5] != ".." {
			names = append(names, f[5])
		}
	}
	return names, nil
}

// status is what matters of an inode.
type status struct {
	kind  string // regular, directory, symlink ...
	mode  uint32
	label string
}

func (e *Editor) stat(ctx context.Context, p string) (status, error) {
	out, err := e.query(ctx, "stat", p)
	if err != nil {
		return status{}, err
	}
	m := regexp.MustCompile(`Inode: \d+ +Type: (\S+) +Mode: +([0-7]+) `).FindSubmatch(out)
	if m == nil {
		return status{}, fmt.Errorf("%s: debugfs says %q", p, out)
	}
	mode, err := strconv.ParseUint(string(m[2]), 8, 32)
	if err != nil {
		return status{}, err
	}
	s := status{kind: string(m[1]), mode: uint32(mode)}
	if l := regexp.MustCompile(`security\.selinux \(\d+\) = "([^"\\]*)`).FindSubmatch(out); l != nil {
		s.label = string(l[1])
	}
	return s, nil
}
