package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Switch is a network between virtual machines: a frame that one of them sends
// reaches all others. It is made of sockets on loopback, which anybody may open.
type Switch struct {
	lab *Lab

	mu    sync.Mutex
	ports []switchPort
}

// switchPort is where frames of one machine come in, and where they go to.
type switchPort struct {
	conn *net.UDPConn
	qemu netip.AddrPort
}

// maxFrame is more than any interface of a machine sends.
const maxFrame = 65536

// Switch makes a network that nothing is plugged to yet.
func (l *Lab) Switch() *Switch { return &Switch{lab: l} }

// Port plugs one machine in and returns what its qemu must be told.
func (s *Switch) Port() (netdev string, err error) {
	p, err := s.plug()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("socket,udp=%s,localaddr=%s", p.conn.LocalAddr(), p.qemu), nil
}

// plug makes a port, whose other end nobody has taken yet.
func (s *Switch) plug() (switchPort, error) {
	ours, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(loopback(0)))
	if err != nil {
		return switchPort{}, fmt.Errorf("plug a machine in: %w", err)
	}
	s.lab.later("port of a switch", func(context.Context) error { return ours.Close() })
	theirs, err := freePort("udp4")
	if err != nil {
		return switchPort{}, fmt.Errorf("plug a machine in: %w", err)
	}
	p := switchPort{ours, loopback(theirs)}
	s.mu.Lock()
	s.ports = append(s.ports, p)
	s.mu.Unlock()
	go s.forward(p)
	return p, nil
}

// forward passes on what one machine sends, until the port is closed.
func (s *Switch) forward(from switchPort) {
	frame := make([]byte, maxFrame)
	for {
		n, sender, err := from.conn.ReadFromUDPAddrPort(frame)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || sender != from.qemu {
			continue // a refusal of a machine that has no power, or a stranger
		}
		s.mu.Lock()
		for _, to := range s.ports {
			if to != from {
				to.conn.WriteToUDPAddrPort(frame[:n], to.qemu) // a frame may be lost, as on any network
			}
		}
		s.mu.Unlock()
	}
}

func loopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

// freePort is a port of loopback that nobody uses at the moment.
func freePort(network string) (uint16, error) {
	if network == "udp4" {
		c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(loopback(0)))
		if err != nil {
			return 0, err
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).AddrPort().Port(), nil
	}
	l, err := net.ListenTCP(network, net.TCPAddrFromAddrPort(loopback(0)))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port(), nil
}
