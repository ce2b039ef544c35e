//go:build !linux

package debianbase

import "os/exec"

// alone only runs the program: mmdebstrap needs Linux.
func alone(cmd *exec.Cmd) (output []byte, err error) { return cmd.CombinedOutput() }
