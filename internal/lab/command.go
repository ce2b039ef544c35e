package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// run is a program's standard output. An error holds what it said on standard error.
func (l *Lab) run(ctx context.Context, name string, args ...string) (string, error) {
	path, err := l.Tool(name)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	// Some have mounts and folders of their own to clean up.
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(syscall.SIGTERM) }, endWithin
	return output(cmd)
}

// endWithin is how long a program may take to end when it is asked to.
const endWithin = 10 * time.Second

// runAll runs programs one after the other, until one fails.
func (l *Lab) runAll(ctx context.Context, commands ...[]string) error {
	for _, c := range commands {
		if _, err := l.run(ctx, c[0], c[1:]...); err != nil {
			return err
		}
	}
	return nil
}

func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(stderr.String())
		if said == "" {
			said = strings.TrimSpace(stdout.String())
		}
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, said)
	}
	return stdout.String(), nil
}

// pause is how long the lab waits before it looks again.
const pause = 200 * time.Millisecond

// Await repeats check until it holds. The error is the last of check's when ctx ends first.
func Await(ctx context.Context, what string, check func(context.Context) error) error {
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, errors.Join(err, ctx.Err()))
		case <-time.After(pause):
		}
	}
}
