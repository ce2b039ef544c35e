package debianbase

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// alone runs a program that ends with this one. What root's mmdebstrap mounts is seen by
// nobody else and goes with it, so that nothing mounted can be left in a folder that is
// removed.
func alone(cmd *exec.Cmd) (output []byte, err error) {
	// The kernel means the thread that started the program: that one must last as long.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	}
	return cmd.CombinedOutput()
}
