package etcd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
)

// Whose manifest is taken away must not run on. The kubelet ends its pod, but not one
// that has reached no API server since it started (deletePod of
// k8s.io/kubernetes/pkg/kubelet waits until all sources of pods were seen), and a
// cluster that lost its majority has none. So this node ends etcd itself: without a
// manifest no etcd runs on its data, and the kubelet starts none again.

// endsWithin is how long etcd has to end in order before it is ended as by a power cut.
const endsWithin = 10 * time.Second

// end ends the etcd that runs on this node's data without a manifest, if there is one,
// and tells whether it was still there. Nothing is decided before it is gone.
func (n *node) end() (ends bool, err error) {
	if placed, err := n.placed(); err != nil || placed != "" {
		return false, err
	}
	pid, p, err := n.running()
	if err != nil || p == nil {
		n.ending = time.Time{}
		return false, err
	}
	defer p.Release()
	signal := syscall.SIGTERM
	if n.ending.IsZero() {
		n.ending = time.Now()
	}
	if time.Since(n.ending) >= endsWithin {
		signal = syscall.SIGKILL
	}
	if err := p.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return true, fmt.Errorf("end etcd, process %d: %w", pid, err)
	}
	n.passing(bootcode.EtcdStepFailed, fmt.Sprintf("etcd, process %d, runs without its manifest and is to end", pid))
	return true, nil
}

// running finds the etcd whose data folder is this node's, whatever that is called
// where it runs: other pods may have one of the same name. The process is held before
// it is looked at, so that what was looked at is what is ended.
func (n *node) running() (pid int, p *os.Process, err error) {
	data, err := os.Stat(n.path(dataPath))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	found, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, nil, err
	}
	for _, proc := range found {
		pid, err := strconv.Atoi(filepath.Base(proc))
		if err != nil || dataFolder(proc) == "" {
			continue
		}
		p, err := os.FindProcess(pid)
		if err != nil {
			return 0, nil, err
		}
		if folder := dataFolder(proc); folder != "" {
			if its, err := os.Stat(filepath.Join(proc, "root", folder)); err == nil && os.SameFile(its, data) {
				return pid, p, nil
			}
		}
		p.Release()
	}
	return 0, nil, nil
}

// dataFolder is what etcd's command line names, and "" of any other program.
func dataFolder(proc string) string {
	line, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	if err != nil {
		return "" // it has ended
	}
	args := strings.Split(string(line), "\x00")
	if filepath.Base(args[0]) != "etcd" {
		return ""
	}
	for _, a := range args[1:] {
		if folder, ok := strings.CutPrefix(a, "--data-dir="); ok {
			return folder
		}
	}
	return ""
}
