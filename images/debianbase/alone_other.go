//go:build !linux

package debianbase

import "os/exec"

// alone does nothing where mmdebstrap cannot run.
func alone(*exec.Cmd) {}
