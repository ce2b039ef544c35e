package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cgroups makes a cgroup for a node in every hierarchy of this machine, below
// the lab's own, and returns their folders, also with an error. Nodes that shared
// one would see each other's pods as their own.
func (l *Lab) cgroups(node string) (dirs []string, err error) {
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(self)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number:controllers:path
		if len(fields) != 3 {
			continue
		}
		hierarchy := strings.TrimPrefix(fields[1], "name=")
		if hierarchy == "" {
			hierarchy = "unified"
		}
		parent := filepath.Join("/sys/fs/cgroup", hierarchy, fields[2])
		dir := filepath.Join(parent, l.id+"-"+node)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return dirs, fmt.Errorf("make a cgroup: %w", err)
		}
		dirs = append(dirs, dir)
		if hierarchy == "cpuset" {
			if err := copySettings(parent, dir, "cpuset.cpus", "cpuset.mems"); err != nil {
				return dirs, err
			}
		}
	}
	return dirs, nil
}

// copySettings gives a cpuset what its parent has: without, nothing can run in it.
func copySettings(parent, dir string, names ...string) error {
	for _, name := range names {
		value, err := os.ReadFile(filepath.Join(parent, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), value, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroup removes a cgroup and those below it, once their last process is gone.
func removeCgroup(ctx context.Context, dir string) error {
	return Await(ctx, "remove it", func(context.Context) error {
		var below []string
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				below = append(below, path)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, path := range slices.Backward(below) {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}
