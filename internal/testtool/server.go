package testtool

import (
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Server starts a server program on a loopback address that nobody has, host:port, and
// waits until it answers HTTP there, with anything. It ends with the test, which shows
// its last words when it failed.
func Server(t testing.TB, command func(address string) *exec.Cmd) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	cmd := command(address)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(said.String()[max(0, said.Len()-2000):])
		}
	})
	const pause, patience = 50 * time.Millisecond, time.Minute // for machines that are busy
	for range patience / pause {
		if resp, err := http.Get("http://" + address); err == nil {
			resp.Body.Close()
			return address
		}
		time.Sleep(pause)
	}
	t.Fatalf("%s does not answer", cmd.Path)
	return ""
}
