package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Clock plugs a time server into the switch, which tells the time of the machine
// that runs the lab. It makes the few frames itself: no port below 1024 and no
// interface is needed, which only root could have.
func (s *Switch) Clock(address netip.Addr) error {
	p, err := s.plug()
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(p.qemu))
	if err != nil {
		return fmt.Errorf("plug a time server in: %w", err)
	}
	s.lab.later("time server", func(context.Context) error { return conn.Close() })
	go func() {
		frame := make([]byte, maxFrame)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(frame)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			if reply := answerFrame(frame[:n], address, time.Now()); reply != nil {
				conn.WriteToUDPAddrPort(reply, from) // who loses an answer asks again
			}
		}
	}()
	return nil
}

// Where things stand in frames, and what they are.
const (
	etherHeader = 14
	etherIPv4   = 0x0800
	etherARP    = 0x0806
	arpSize     = 28
	ipHeader    = 20
	ipUDP       = 17
	udpHeader   = 8
	ntpPort     = 123
	ntpSize     = 48
	ntpServer   = 4<<3 | 4   // version 4, a server's answer
	ntpEpoch    = 2208988800 // seconds from 1900 to 1970
)

// clockMAC is the time server's own hardware address.
func clockMAC() []byte { return []byte{0x52, 0x54, 0x00, 0, 0, 123} }

// answerFrame answers who asks for an address, and who asks it for the time; nil
// for all else.
func answerFrame(frame []byte, address netip.Addr, now time.Time) []byte {
	if len(frame) < etherHeader+arpSize {
		return nil
	}
	own := address.AsSlice()
	body := frame[etherHeader:]
	reply := append(append(bytes.Clone(frame[6:12]), clockMAC()...), frame[12:14]...)
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		if binary.BigEndian.Uint16(body[6:]) != 1 || !bytes.Equal(body[24:28], own) {
			return nil
		}
		reply = append(append(reply, body[:6]...), 0, 2) // an answer
		reply = append(append(reply, clockMAC()...), own...)
		return append(reply, body[8:18]...)
	case etherIPv4:
		at := int(body[0]&15) * 4
		if len(body) < at+udpHeader+ntpSize || body[9] != ipUDP || !bytes.Equal(body[16:20], own) || binary.BigEndian.Uint16(body[at+2:]) != ntpPort {
			return nil
		}
		return append(append(reply, packet(own, body[12:16], body[at:at+2])...), tellTime(body[at+udpHeader:], now)...)
	}
	return nil
}

// packet is what stands before an answer of a time server.
func packet(from, to, port []byte) []byte {
	p := make([]byte, ipHeader+udpHeader)
	p[0], p[8], p[9] = 4<<4|ipHeader/4, 64, ipUDP
	binary.BigEndian.PutUint16(p[2:], ipHeader+udpHeader+ntpSize)
	copy(p[12:], from)
	copy(p[16:], to)
	sum := uint32(0)
	for i := 0; i < ipHeader; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(p[ipHeader:], ntpPort)
	copy(p[ipHeader+2:], port)
	binary.BigEndian.PutUint16(p[ipHeader+4:], udpHeader+ntpSize) // no checksum
	return p
}

// tellTime answers a question of the network time protocol.
func tellTime(question []byte, now time.Time) []byte {
	a := make([]byte, ntpSize)
	a[0], a[1], a[2], a[3] = ntpServer, 2, question[2], 0xec // stratum 2, the asker's pace, a precision of microseconds
	copy(a[12:], "LAB")
	stamp := uint64(now.Unix()+ntpEpoch)<<32 | uint64(now.Nanosecond())<<32/uint64(time.Second)
	copy(a[24:32], question[40:48]) // when it was asked, by the asker's clock
	for _, at := range []int{16, 32, 40} {
		binary.BigEndian.PutUint64(a[at:], stamp)
	}
	return a
}
