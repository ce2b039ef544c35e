package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// idPrefix begins every name that a lab gives to something outside of its
// folders; the number of the lab's process follows.
const idPrefix = "iflab"

// sweep ends what labs left behind whose processes were killed.
func (l *Lab) sweep(ctx context.Context) error {
	cgroups, err := filepath.Glob("/sys/fs/cgroup/*/" + idPrefix + "*")
	if err != nil {
		return err
	}
	deeper, err := filepath.Glob("/sys/fs/cgroup/*/*/*/" + idPrefix + "*")
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range append(cgroups, deeper...) {
		if abandoned(filepath.Base(dir)) {
			errs = append(errs, killCgroup(dir), removeCgroup(ctx, dir))
		}
	}
	namespaces, err := filepath.Glob("/run/netns/" + idPrefix + "*")
	if err != nil {
		return err
	}
	for _, path := range namespaces {
		if name := filepath.Base(path); abandoned(name) {
			_, err := l.run(ctx, "ip", "netns", "delete", name)
			errs = append(errs, err)
		}
	}
	folders, err := filepath.Glob(filepath.Join(l.Cache, idPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range folders {
		if abandoned(filepath.Base(dir)) {
			errs = append(errs, endMachines(dir), l.removeWork(ctx, dir))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("end what an earlier lab left behind: %w", err)
	}
	return nil
}

// abandoned tells whether a name is of a lab that has ended.
func abandoned(name string) bool {
	rest, ours := strings.CutPrefix(name, idPrefix)
	number, _, _ := strings.Cut(rest, "-")
	if _, err := strconv.Atoi(number); !ours || err != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + number + "/stat")
	return errors.Is(err, fs.ErrNotExist) || strings.Contains(string(stat), ") Z ") // a zombie waits for its parent alone
}

// killCgroup ends the processes of a cgroup and of those below it.
func killCgroup(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // it is gone already
		}
		pids, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			return nil
		}
		for word := range strings.FieldsSeq(string(pids)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				return err
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
		return nil
	})
}

// removeWork unmounts what is mounted in a lab's folder and removes it.
func (l *Lab) removeWork(ctx context.Context, dir string) error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	// What lies in another mount goes before it.
	for _, line := range slices.Backward(strings.Split(string(mounts), "\n")) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			if _, err := l.run(ctx, "umount", "--recursive", fields[1]); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(dir)
}
