// Package lab boots what was rendered and looks at it. Its nodes are
// systemd-nspawn containers on a wire of their own, made of imgforge's base, its system
// extension with pinned programs, and a payload that the real Ignition wrote; what the
// machine underneath forces upon them is listed as overrides, and nothing else differs.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Config says where a lab finds its programs and leaves its files. All fields but System and Hold must be set.
type Config struct {
	// Tool returns the path of a program by its usual name.
	Tool func(name string) (string, error)
	// Cache keeps trees and container images from run to run, named by their
	// content, and nodes while they live. It must lie on a file system that
	// overlays can be laid on, such as ext4.
	Cache string
	// Artifacts takes consoles, journals and logs of pods, which stay after Close.
	Artifacts string
	// System, when set, is a folder that virtual machines boot from. One that is not
	// there is made, and stays.
	System string
	// Log takes progress; see [Progress].
	Log io.Writer
	// Hold, when set, is called before anything is taken down.
	Hold func(context.Context, *Trial)
}

// Lab owns everything that was made for one run.
type Lab struct {
	Config
	id   string
	work string // the nodes' own files

	mu   sync.Mutex
	undo []undoing
}

// undoing ends one thing that the lab made.
type undoing struct {
	what string
	end  func(context.Context) error
}

// closeWithin bounds how long a lab may take to end what it made.
const closeWithin = time.Minute

// New makes a lab, after it has ended what killed labs left behind. Close must
// be called, whatever happens.
func New(ctx context.Context, c Config) (*Lab, error) {
	// Names of namespaces and cgroups are the machine's own: two labs at once must not meet.
	id := idPrefix + strconv.Itoa(os.Getpid())
	l := &Lab{Config: c, id: id, work: filepath.Join(c.Cache, id)}
	if err := errors.Join(l.sweep(ctx), l.upkeep(ctx, time.Now())); err != nil {
		return nil, err
	}
	for _, dir := range []string{l.work, c.Artifacts} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make the lab's folders: %w", err)
		}
	}
	l.later("folder "+l.work, func(ctx context.Context) error { return l.removeWork(ctx, l.work) })
	return l, nil
}

// Close ends everything that the lab made, the latest first, even when ctx has
// ended, and reports what could not be ended.
func (l *Lab) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	l.mu.Lock()
	undo := l.undo
	l.undo = nil
	l.mu.Unlock()
	var errs []error
	for _, u := range slices.Backward(undo) {
		if err := u.end(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", u.what, err))
		}
	}
	return errors.Join(errs...)
}

// later has end called by Close.
func (l *Lab) later(what string, end func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.undo = append(l.undo, undoing{what, end})
}

func (l *Lab) logf(format string, args ...any) { fmt.Fprintf(l.Log, format+"\n", args...) }

// cached returns the folder kind-key of the cache, filled by fill when there is
// none. A folder appears whole or not at all.
func (l *Lab) cached(kind, key string, fill func(dir string) error) (string, error) {
	dir := filepath.Join(l.Cache, kind+"-"+key)
	if err := l.use(dir); err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	temp, err := os.MkdirTemp(l.Cache, "."+kind+"-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	part := filepath.Join(temp, "part")
	if err := fill(part); err != nil {
		return "", err
	}
	if err := os.Rename(part, dir); err != nil {
		if _, other := os.Stat(dir); other == nil {
			return dir, nil // another lab was faster
		}
		return "", err
	}
	return dir, nil
}
