package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// within runs do on a thread inside a network namespace, "" for the lab's own.
// What it opens stays there; the thread ends with do.
func within(netns string, do func() error) error {
	if netns == "" {
		return do()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: nothing else may run in this namespace
		done <- func() error {
			f, err := os.Open("/run/netns/" + netns)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter network namespace %s: %w", netns, err)
			}
			return do()
		}()
	}()
	return <-done
}

// dialTimeout bounds one attempt to connect.
const dialTimeout = 3 * time.Second

// dialler connects from inside a network namespace. Addresses must be numbers:
// nothing resolves names there.
func dialler(netns string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = within(netns, func() error {
			d := net.Dialer{Timeout: dialTimeout}
			conn, err = d.DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
}
