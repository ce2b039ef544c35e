package testtool

import (
	"bytes"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// S3 runs a real S3 server of region fr-par, for one pair of keys, until the test ends.
// Its buckets are the folders in folder.
func S3(t testing.TB, access, secret string) (url, folder string) {
	t.Helper()
	program := Path(t, "versitygw")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	folder = t.TempDir()
	cmd := exec.Command(program, "--access", access, "--secret", secret, "--port", address, "--region", "fr-par", "posix", "--sidecar", t.TempDir(), folder)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for range 1200 { // a minute, for machines that are busy
		if res, err := http.Get("http://" + address); err == nil { // any answer will do
			res.Body.Close()
			return "http://" + address, folder
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the S3 server does not answer")
	return "", ""
}
