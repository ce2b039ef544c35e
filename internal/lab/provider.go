package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

// What the network answers, as a provider's would.
const (
	// OutsideName is a name outside of the cluster, which resolves to the gateway's address.
	OutsideName = "outside.lab.example"
	// metadataText is what the metadata service tells whoever reaches it.
	metadataText = "the metadata of this machine\n"
)

// provide makes the network answer what a provider's does: DNS at the gateway's
// address and at those of servers, and the metadata service at its addresses.
func (n *Network) provide(ctx context.Context, metadata, servers []string, names map[string]netip.Addr) error {
	own := n.gateway.Addr().String()
	if !slices.Contains(servers, own) {
		servers = append([]string{own}, servers...)
	}
	for _, address := range slices.Concat(metadata, servers) {
		if address == own {
			continue
		}
		if _, err := n.lab.run(ctx, "ip", "-netns", n.netns, "address", "replace", address, "dev", "br0"); err != nil {
			return fmt.Errorf("make the provider's services: %w", err)
		}
	}
	return within(n.netns, func() error {
		for _, address := range servers {
			conn, err := net.ListenPacket("udp", net.JoinHostPort(address, "53"))
			if err != nil {
				return err
			}
			n.lab.later("DNS server", func(context.Context) error { return conn.Close() })
			go answerNames(conn, names, &n.asked)
		}
		for _, address := range metadata {
			l, err := net.Listen("tcp4", net.JoinHostPort(address, "80"))
			if err != nil {
				return err
			}
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, metadataText) })}
			n.lab.later("metadata service", func(context.Context) error { return server.Close() })
			go server.Serve(l) // until it is closed
		}
		return nil
	})
}

// Sizes and codes of DNS messages.
const (
	dnsHeader   = 12
	dnsResponse = 0x8180 // an answer, recursion available
	dnsNoName   = 3
)

// answerNames serves DNS until conn is closed: names have one address each, and
// there are no others.
func answerNames(conn net.PacketConn, names map[string]netip.Addr, asked *atomic.Int64) {
	buffer := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if reply := answerName(buffer[:n], names); reply != nil {
			asked.Add(1)
			conn.WriteTo(reply, from) // who loses an answer asks again
		}
	}
}

// answerName answers a message of one question; nil when it is none.
func answerName(query []byte, names map[string]netip.Addr) []byte {
	name, end := questionOf(query)
	if end == 0 {
		return nil
	}
	kind := binary.BigEndian.Uint16(query[end-4:])
	reply := append([]byte{}, query[:end]...)
	flags, answers := uint16(dnsResponse), uint16(0)
	address, known := names[strings.ToLower(name)]
	switch {
	case !known:
		flags |= dnsNoName
	case kind == 1: // A
		answers = 1
		reply = append(reply, 0xc0, dnsHeader, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4) // the question's name, A, IN, 5 s, 4 bytes
		reply = append(reply, address.AsSlice()...)
	}
	for i, value := range []uint16{flags, 1, answers, 0, 0} {
		binary.BigEndian.PutUint16(reply[2+2*i:], value)
	}
	return reply
}

// questionOf is the name of a message's first question and where that question ends.
func questionOf(message []byte) (name string, end int) {
	var labels []string
	for at := dnsHeader; at < len(message); {
		size := int(message[at])
		if size == 0 && at+5 <= len(message) {
			return strings.Join(labels, "."), at + 5
		}
		if size == 0 || size > 63 || at+1+size > len(message) {
			break
		}
		labels = append(labels, string(message[at+1:at+1+size]))
		at += 1 + size
	}
	return "", 0
}

// askName asks a DNS server for the first address of a name over an open connection.
func askName(conn net.Conn, name string) (netip.Addr, error) {
	query := []byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0} // recursion desired, one question
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		query = append(append(query, byte(len(label))), label...)
	}
	query = append(query, 0, 0, 1, 0, 1)
	if _, err := conn.Write(query); err != nil {
		return netip.Addr{}, err
	}
	reply := make([]byte, 512)
	n, err := conn.Read(reply)
	if err != nil {
		return netip.Addr{}, err
	}
	return addressIn(reply[:n], name)
}

// addressIn is what a DNS server's answer gives as the first address of a name.
func addressIn(reply []byte, name string) (netip.Addr, error) {
	_, at := questionOf(reply)
	if at == 0 {
		return netip.Addr{}, fmt.Errorf("the answer for %s is no DNS", name)
	}
	if binary.BigEndian.Uint16(reply[6:]) == 0 {
		return netip.Addr{}, fmt.Errorf("%s has no address: the server's code is %d", name, reply[3]&15)
	}
	// The record repeats the name in full or points at the question's.
	for at < len(reply) && reply[at] != 0 && reply[at]&0xc0 == 0 {
		at += 1 + int(reply[at])
	}
	if at++; at <= len(reply) && reply[at-1]&0xc0 != 0 {
		at++
	}
	if at+14 > len(reply) || binary.BigEndian.Uint16(reply[at:]) != 1 {
		return netip.Addr{}, fmt.Errorf("the answer for %s is no address", name)
	}
	return netip.AddrFrom4([4]byte(reply[at+10 : at+14])), nil
}
