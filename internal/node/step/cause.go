package step

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Cause is the cause alone of a question that nobody answered, bounded by timeout. It
// has no ports, which differ each time: the same cause must read the same, to be said once.
func Cause(err error, timeout time.Duration) error {
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		return fmt.Errorf("no answer in %s", timeout)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Err
	}
	return err
}
