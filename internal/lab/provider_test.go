package lab

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
)

// The server answers what Go's own resolver, a different reader, would accept as
// well: here the lab's client asks over a real socket.
func TestNames(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var asked atomic.Int64
	want := netip.MustParseAddr("192.0.2.7")
	go answerNames(conn, map[string]netip.Addr{OutsideName: want}, &asked)
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp4", conn.LocalAddr().String())
	}}
	got, err := resolver.LookupNetIP(t.Context(), "ip4", OutsideName+".")
	if err != nil || len(got) != 1 || got[0].Unmap() != want {
		t.Errorf("Go's resolver finds %v, %v; want %s", got, err, want)
	}
	if got, err := resolver.LookupNetIP(t.Context(), "ip4", "nobody.lab.example."); err == nil {
		t.Errorf("Go's resolver finds %v for a name that there is none of", got)
	}
	client, err := net.Dial("udp4", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if got, err := askName(client, OutsideName); err != nil || got != want {
		t.Errorf("asked %s, %v; want %s", got, err, want)
	}
	if _, err := askName(client, "nobody.lab.example"); err == nil {
		t.Error("a name that there is none of has an address")
	}
	if asked.Load() < 3 {
		t.Errorf("%d questions counted", asked.Load())
	}
}

// Whatever arrives, nothing panics, and what the server answers its client reads.
func FuzzNames(f *testing.F) {
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07outside\x03lab\x07example\x00\x00\x01\x00\x01"))
	f.Add([]byte("\x12\x34"))
	want := netip.MustParseAddr("192.0.2.7")
	f.Fuzz(func(t *testing.T, message []byte) {
		addressIn(message, "any")
		name, end := questionOf(message)
		reply := answerName(message, map[string]netip.Addr{OutsideName: want})
		if (reply == nil) != (end == 0) {
			t.Fatalf("question %q ends at %d, answer %x", name, end, reply)
		}
		isA := end > 0 && message[end-4] == 0 && message[end-3] == 1
		if isA && name == OutsideName {
			if got, err := addressIn(reply, name); err != nil || got != want {
				t.Fatalf("%x: %v, %v", reply, got, err)
			}
		}
	})
}
