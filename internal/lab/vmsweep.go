package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// endMachines ends the virtual machines whose disks lie in the folder of a lab
// that was killed. No other process names a file in there.
func endMachines(work string) error {
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range found {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended, or is somebody else's
		}
		program, _, _ := bytes.Cut(line, []byte{0})
		if !strings.HasPrefix(filepath.Base(string(program)), "qemu-system-") || !bytes.Contains(line, []byte("file="+comma(work)+"/")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("end machine %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}
