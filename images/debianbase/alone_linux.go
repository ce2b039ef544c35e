package debianbase

import (
	"os"
	"os/exec"
	"syscall"
)

// alone has a program end with this one. What root's mmdebstrap mounts is seen by nobody
// else and goes with it, so that nothing mounted can be left in a folder that is removed.
func alone(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	}
}
