package watch

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// arpWait is how long an answer may take, across a mesh too.
const arpWait = 700 * time.Millisecond

// ARP over Ethernet, as on the wire: the Ethernet header has 14 bytes, the packet 28.
const (
	arpLength  = 42
	arpOp      = 20
	arpFromMAC = 22
	arpFromIP  = 28
	arpToIP    = 38

	arpRequest = 1
	arpReply   = 2
)

// whoHas sends the probe of RFC 5227 for an address of this node, and returns the
// hardware address of another machine that answers for it or speaks as it; empty
// when there is none, and where there is no ARP.
func whoHas(i net.Interface, address netip.Addr) string {
	if len(i.HardwareAddr) != 6 || i.Flags&net.FlagBroadcast == 0 || !address.Is4() {
		return ""
	}
	s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(bigEndian(unix.ETH_P_ARP)))
	if err != nil {
		return "" // without the right to look nothing is known
	}
	defer unix.Close(s)
	at := &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ARP), Ifindex: i.Index}
	if unix.Bind(s, at) != nil {
		return ""
	}
	if unix.Sendto(s, arpProbe(i.HardwareAddr, address), 0, at) != nil {
		return ""
	}
	for end := time.Now().Add(arpWait); ; {
		left := time.Until(end)
		if left <= 0 {
			return ""
		}
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(s), Events: unix.POLLIN}}, int(left.Milliseconds())+1); n == 0 || err != nil && err != unix.EINTR {
			return ""
		}
		buffer := make([]byte, 128)
		n, from, err := unix.Recvfrom(s, buffer, unix.MSG_DONTWAIT)
		if err != nil {
			continue
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if ok && link.Pkttype != unix.PACKET_OUTGOING {
			if mac := claims(buffer[:n], i.HardwareAddr, address); mac != nil {
				return mac.String()
			}
		}
	}
}

// arpProbe asks who has the address without saying that this machine does, so that
// nobody's table changes.
func arpProbe(own net.HardwareAddr, address netip.Addr) []byte {
	p := make([]byte, arpLength)
	copy(p, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	copy(p[6:], own)
	copy(p[12:], []byte{0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, arpRequest})
	copy(p[arpFromMAC:], own)
	to := address.As4()
	copy(p[arpToIP:], to[:])
	return p
}

// claims is the hardware address of a packet's sender if it speaks as the address.
// A request with this machine's own hardware address may be its own, come back.
func claims(packet []byte, own net.HardwareAddr, address netip.Addr) net.HardwareAddr {
	if len(packet) < arpLength {
		return nil
	}
	from := address.As4()
	if !slices.Equal(packet[arpFromIP:arpFromIP+4], from[:]) {
		return nil
	}
	mac := net.HardwareAddr(packet[arpFromMAC : arpFromMAC+6])
	op := binary.BigEndian.Uint16(packet[arpOp:])
	if op == arpReply || op == arpRequest && !slices.Equal(mac, own) {
		return mac
	}
	return nil
}

// bigEndian is a protocol number as the kernel wants it.
func bigEndian(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}
