package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// errNoRoom begins what a snapshot is refused with that this machine cannot restore.
var errNoRoom = errors.New("this machine has no room for the snapshot")

// arrival is a snapshot on its way to this disk: what it writes shows that it goes on,
// and it ends before it takes what the machine needs.
type arrival struct {
	n     *node
	to    io.Writer
	room  int64 // bytes that the disk still holds
	size  int64 // bytes so far
	timer *time.Timer
}

// arrive lets a snapshot come. A source that sends nothing for a while is given up,
// for nothing else is done meanwhile: the next look asks again, and others as well.
func (n *node) arrive(ctx context.Context, to io.Writer, fill func(context.Context, io.Writer) error) error {
	room, err := diskRoom(n.path(candidatePath), n.path(dataPath))
	if err != nil {
		return fmt.Errorf("see how much the disk holds: %w", err)
	}
	stalled := fmt.Errorf("nothing came for %s", n.o.Stall)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	a := &arrival{n: n, to: to, room: room, timer: time.AfterFunc(n.o.Stall, func() { stop(stalled) })}
	defer a.timer.Stop()
	if err = fill(ctx, a); err != nil && errors.Is(context.Cause(ctx), stalled) {
		return stalled
	}
	return err
}

func (a *arrival) Write(p []byte) (int, error) {
	a.timer.Reset(a.n.o.Stall)
	size := a.size + int64(len(p))
	if size > a.room {
		return 0, fmt.Errorf("%w: it has more than %d bytes, and the disk holds at most %d beside the data that comes of it", errNoRoom, a.size, a.room)
	}
	if size>>20 != a.size>>20 { // memory changes meanwhile
		if err := a.n.memoryHolds(size); err != nil {
			return 0, err
		}
	}
	written, err := a.to.Write(p)
	a.size += int64(written)
	return written, err
}

// memoryHolds refuses a snapshot of so many bytes, or more, which would not go into
// memory. It lies there whole, where it can be neither written back nor dropped, while
// etcdutl writes the data that comes of it. The kernel lets writers go on until a fifth
// of the available memory waits to be written (vm.dirty_ratio, 20), so the snapshot may
// take four fifths: a quarter more than its size has to be available. Where nothing says
// what is available, nothing is refused.
func (n *node) memoryHolds(size int64) error {
	available, ok := n.available()
	if need := size + size/4; ok && need > available {
		return fmt.Errorf("%w: of at least %d bytes it needs %d bytes of memory, and %d are available; boot it on a machine with more memory", errNoRoom, size, need, available)
	}
	return nil
}

// available is the memory that can be had without swapping, in bytes (proc_meminfo(5)).
func (n *node) available() (bytesOf int64, ok bool) {
	data, err := os.ReadFile(n.path("/proc/meminfo"))
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(data) {
		f := bytes.Fields(line)
		if len(f) == 3 && string(f[0]) == "MemAvailable:" && string(f[2]) == "kB" {
			kib, err := strconv.ParseInt(string(f[1]), 10, 53)
			return kib << 10, err == nil
		}
	}
	return 0, false
}
