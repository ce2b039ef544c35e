package lab

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// inotifyInstances is how many the nodes of a lab may have together. Each node of
// its own has 128 or more; here all share what one user of one kernel may have.
const inotifyInstances = 8192

// raiseLimits gives the nodes together what each would have on a kernel of its own,
// and takes it back at the end.
func (l *Lab) raiseLimits() error {
	const path = "/proc/sys/fs/inotify/max_user_instances"
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if now, err := strconv.Atoi(strings.TrimSpace(string(old))); err != nil || now >= inotifyInstances {
		return err
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(inotifyInstances)), 0o644); err != nil {
		return fmt.Errorf("let several nodes watch files on one kernel: %w", err)
	}
	l.later(path, func(context.Context) error { return os.WriteFile(path, old, 0o644) })
	return nil
}
