package lab

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// The time server says who it is and what time it is to those who ask for it, and
// nothing to anybody else. That Debian's own client believes it is a check of the
// topology vm.
func TestTimeServer(t *testing.T) {
	address, asker := netip.MustParseAddr("10.0.2.4"), netip.MustParseAddr("10.0.2.11")
	hardware := []byte{0x52, 0x54, 0, 1, 2, 3}
	ether := func(kind ...byte) []byte { return append(append(bytes.Repeat([]byte{0xff}, 6), hardware...), kind...) }

	who := append(ether(8, 6), 0, 1, 8, 0, 6, 4, 0, 1)
	who = append(append(append(append(who, hardware...), asker.AsSlice()...), make([]byte, 6)...), address.AsSlice()...)
	want := append(append(bytes.Clone(hardware), clockMAC()...), 8, 6, 0, 1, 8, 0, 6, 4, 0, 2)
	want = append(append(append(append(want, clockMAC()...), address.AsSlice()...), hardware...), asker.AsSlice()...)
	if got := answerFrame(who, address, time.Now()); !bytes.Equal(got, want) {
		t.Errorf("who has the address: got  %x\nwant %x", got, want)
	}
	if got := answerFrame(who, asker, time.Now()); got != nil {
		t.Errorf("it answers for an address of others: %x", got)
	}

	now := time.Date(2026, 3, 1, 12, 0, 0, 500_000_000, time.UTC)
	ask := append(ether(8, 0), packet(asker.AsSlice(), address.AsSlice(), []byte{0, 123})...)
	question := make([]byte, ntpSize)
	question[0], question[2] = 4<<3|3, 6
	copy(question[40:], "when I a")
	got := answerFrame(append(ask, question...), address, now)
	if len(got) != etherHeader+ipHeader+udpHeader+ntpSize {
		t.Fatalf("what time is it: %x", got)
	}
	sum := uint32(0)
	for i := etherHeader; i < etherHeader+ipHeader; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(got[i:]))
	}
	if sum&0xffff+sum>>16 != 0xffff {
		t.Errorf("the header's checksum is wrong: %x", got[etherHeader:etherHeader+ipHeader])
	}
	answer := got[etherHeader+ipHeader+udpHeader:]
	seconds, half := binary.BigEndian.Uint32(answer[40:]), binary.BigEndian.Uint32(answer[44:])
	if string(answer[24:32]) != "when I a" || int64(seconds)-ntpEpoch != now.Unix() || half != 1<<31 {
		t.Errorf("the answer is %x", answer)
	}
}
