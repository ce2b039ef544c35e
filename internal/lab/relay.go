package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// relay passes frames on between a node's port and the switch, and takes its time: what
// netem does on kernels that have it.
type relay struct {
	wire       *Network
	port       string
	near, far  *os.File // the port, and the lab's end of a pair whose other end is the switch's
	passed     atomic.Int64
	done       sync.WaitGroup
	closing    sync.Once
	pair, peer string
}

// frame is one on its way, with the header that says which sums and cuts the sender
// left to its device.
type frame struct {
	due  time.Time
	data []byte
}

// Limits of a relay.
const (
	frameSize   = 10 + 64<<10 + 64 // a virtio header and the largest that a device is given to cut
	framesAhead = 8192
)

// delayed puts a relay between a port and the switch, which delays each direction.
func (n *Network) delayed(ctx context.Context, port string, d time.Duration) (*relay, error) {
	r := &relay{wire: n, port: port, pair: "slow-" + port, peer: "sw-" + port}
	err := n.lab.runAll(ctx,
		[]string{"ip", "-netns", n.netns, "link", "add", r.pair, "type", "veth", "peer", "name", r.peer},
		[]string{"ip", "-netns", n.netns, "link", "set", r.pair, "up"},
		[]string{"ip", "-netns", n.netns, "link", "set", port, "nomaster"},
		[]string{"ip", "-netns", n.netns, "link", "set", r.peer, "master", "br0", "up"},
	)
	if err == nil {
		r.near, err = n.frames(port)
	}
	if err == nil {
		r.far, err = n.frames(r.pair)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("delay %s: %w", port, err), r.remove(ctx))
	}
	r.pass(r.near, r.far, d)
	r.pass(r.far, r.near, d)
	return r, nil
}

// remove gives the port back to the switch.
func (r *relay) remove(ctx context.Context) error {
	r.closing.Do(func() {
		for _, f := range []*os.File{r.near, r.far} {
			if f != nil {
				f.Close()
			}
		}
	})
	r.done.Wait()
	return r.wire.lab.runAll(ctx,
		[]string{"ip", "-netns", r.wire.netns, "link", "delete", r.pair},
		[]string{"ip", "-netns", r.wire.netns, "link", "set", r.port, "master", "br0", "up"},
	)
}

// pass passes frames on in one direction until a side is closed. More than it can hold are lost.
func (r *relay) pass(from, to *os.File, d time.Duration) {
	ahead := make(chan frame, framesAhead)
	r.done.Go(func() {
		defer close(ahead)
		buffer := make([]byte, frameSize)
		for {
			size, err := from.Read(buffer)
			if err != nil {
				return
			}
			select {
			case ahead <- frame{time.Now().Add(d), append([]byte(nil), buffer[:size]...)}:
			default:
			}
		}
	})
	r.done.Go(func() {
		for f := range ahead {
			time.Sleep(time.Until(f.due))
			if _, err := to.Write(f.data); err == nil {
				r.passed.Add(1)
			} // a frame that the other side cannot take is lost, as on any wire
		}
	})
}

// frames opens an interface of the switch for its raw frames, without those that the
// lab itself sends there.
func (n *Network) frames(name string) (file *os.File, err error) {
	err = within(n.netns, func() error {
		device, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		every := uint16(unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8) // in the network's order of bytes
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		for _, option := range []int{unix.PACKET_VNET_HDR, unix.PACKET_IGNORE_OUTGOING} {
			if err == nil {
				err = unix.SetsockoptInt(fd, unix.SOL_PACKET, option, 1)
			}
		}
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: every, Ifindex: device.Index})
		}
		if err != nil {
			unix.Close(fd)
			return err
		}
		file = os.NewFile(uintptr(fd), name)
		return nil
	})
	return file, err
}
