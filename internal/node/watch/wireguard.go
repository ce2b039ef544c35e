package watch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sessionEnd is when a WireGuard session without a new handshake is over, in seconds.
const sessionEnd = 180

// lookWireGuard looks at the peers. WireGuard answers nobody whose key it does not
// know: a machine that is there and stays silent has, or knows, another key.
func (m *meshLooker) lookWireGuard(ctx context.Context, out *Mesh) {
	show := func(what string) map[string]string {
		text, err := output(ctx, m.o.Programs, "wg", "show", m.intf, what)
		if err != nil {
			return nil // no interface, which is said already
		}
		values := map[string]string{}
		for line := range strings.Lines(text) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
				values[key] = value
			}
		}
		return values
	}
	endpoints, names := show("endpoints"), show("allowed-ips")
	handshakes := show("latest-handshakes")
	for key, endpoint := range endpoints {
		name := m.nameOf(names[key])
		if endpoint == "(none)" {
			continue
		}
		if m.habits.twin(key, endpoint, m.o.Now()) {
			out.Twins = append(out.Twins, fmt.Sprintf("%s comes from one address and then from another, again and again; now from %s", name, endpoint))
		}
		if out.Answered > 0 || lively(handshakes[key], m.o.Now()) {
			continue
		}
		h := Hub{Name: name, Where: endpoint}
		if to, err := netip.ParseAddrPort(endpoint); err == nil && len(out.Hubs) < peersAtOnce {
			h.Reached, h.Why = pings(ctx, to.Addr())
			if h.Reached && refuses(to) {
				h.Reached, h.Why = false, "nothing listens there"
			}
			out.Hubs = append(out.Hubs, h)
		}
	}
	sortHubs(out.Hubs)
	slices.Sort(out.Twins)
}

// nameOf is the node that has the allowed address, or the address.
func (m *meshLooker) nameOf(allowed string) string {
	address, _, _ := strings.Cut(allowed, "/")
	for _, n := range m.others {
		if n.Address == address {
			return n.Name
		}
	}
	return address
}

// lively tells whether a handshake is young enough for its session to live.
func lively(seconds string, now time.Time) bool {
	at, err := strconv.ParseInt(seconds, 10, 64)
	return err == nil && at > 0 && now.Unix()-at < sessionEnd
}

// pings sends one echo request. The firewall of every node lets it in.
func pings(ctx context.Context, to netip.Addr) (ok bool, why string) {
	if !to.Unmap().Is4() {
		return false, "its address is not one of IPv4, so it was not asked"
	}
	c, err := net.ListenPacket("ip4:icmp", "0.0.0.0")
	if err != nil {
		return false, brief(err)
	}
	defer c.Close()
	const wait = 1500 * time.Millisecond
	deadline := time.Now().Add(wait)
	if end, bounded := ctx.Deadline(); bounded && end.Before(deadline) {
		deadline = end
	}
	c.SetDeadline(deadline)
	id := uint16(os.Getpid())
	if _, err := c.WriteTo(echo(id), &net.IPAddr{IP: to.Unmap().AsSlice()}); err != nil {
		return false, brief(reason(err))
	}
	const reply = 0
	for buffer := make([]byte, 512); ; {
		n, from, err := c.ReadFrom(buffer)
		if err != nil {
			return false, "it does not answer a ping"
		}
		if n >= 8 && buffer[0] == reply && binary.BigEndian.Uint16(buffer[4:]) == id && from.String() == to.Unmap().String() {
			return true, ""
		}
	}
}

// refuses tells whether the machine says that nothing listens at the port. WireGuard
// passes over a packet that is none of its own.
func refuses(to netip.AddrPort) bool {
	c, err := net.Dial("udp", to.String())
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := c.Write([]byte{0}); err != nil {
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	_, err = c.Read(make([]byte, 1))
	return errors.Is(err, syscall.ECONNREFUSED)
}

// echo is an ICMP echo request with its checksum.
func echo(id uint16) []byte {
	const request = 8
	p := []byte{request, 0, 0, 0, 0, 0, 0, 1}
	binary.BigEndian.PutUint16(p[4:], id)
	var sum uint32
	for i := 0; i < len(p); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	binary.BigEndian.PutUint16(p[2:], ^uint16(sum+sum>>16))
	return p
}
