package tinc

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/testtool"
)

func TestRSAForms(t *testing.T) {
	k, err := NewRSA()
	if err != nil {
		t.Fatal(err)
	}
	private, _ := pem.Decode(k.Private)
	public, _ := pem.Decode(k.Public)
	if private == nil || private.Type != "RSA PRIVATE KEY" || public == nil || public.Type != "RSA PUBLIC KEY" {
		t.Fatalf("labels %v, %v", private, public)
	}
	key, err := x509.ParsePKCS1PrivateKey(private.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := x509.ParsePKCS1PublicKey(public.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !pub.Equal(&key.PublicKey) || pub.N.BitLen() != RSABits || pub.E != 65537 {
		t.Error("the halves do not belong together")
	}
}

// Two real tinc 1.0 daemons on loopback, without a network device, take each
// other for who they are by these keys; one with another's key is refused.
func TestTincdAuthenticatesWithTheseKeys(t *testing.T) {
	tincd := testtool.Path(t, "tincd")
	var keys [3]Key
	for i := range keys {
		var err error
		if keys[i], err = NewRSA(); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name     string
		bPrivate Key
		want     []string // in one line that a prints
	}{
		{"own key", keys[1], []string{"Connection with b (", "activated"}},
		{"another key", keys[2], []string{"from b (", "during authentication"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			port := freePort(t)
			hosts := map[string]string{
				"a": fmt.Sprintf("Address = 127.0.0.1 %d\nPort = %d\n%s", port, port, keys[0].Public),
				"b": string(keys[1].Public),
			}
			a := configure(t, "a", keys[0], hosts, "BindToAddress = 127.0.0.1\n")
			b := configure(t, "b", tt.bPrivate, hosts, fmt.Sprintf("ConnectTo = a\nBindToAddress = 127.0.0.1 %d\n", freePort(t)))
			log := start(t, tincd, a)
			waitFor(t, log, "Ready")
			start(t, tincd, b)
			waitFor(t, log, tt.want...)
		})
	}
}

func configure(t *testing.T, name string, k Key, hosts map[string]string, more string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"tinc.conf":    "Name = " + name + "\nDeviceType = dummy\nMode = switch\nAddressFamily = ipv4\nPingTimeout = 1\n" + more,
		"rsa_key.priv": string(k.Private),
	}
	if err := os.Mkdir(filepath.Join(dir, "hosts"), 0o755); err != nil {
		t.Fatal(err)
	}
	for host, text := range hosts {
		files["hosts/"+host] = text
	}
	for path, text := range files {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// start runs a daemon in the foreground and returns its log.
func start(t *testing.T, tincd, dir string) <-chan string {
	t.Helper()
	cmd := exec.Command(tincd, "-c", dir, "-D", "-d", "3", "--pidfile="+dir+"/pid")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			select {
			case lines <- s.Text():
			default: // nobody reads any more
			}
		}
	}()
	return lines
}

// waitFor reads a log until one line holds all the words.
func waitFor(t *testing.T, log <-chan string, words ...string) {
	t.Helper()
	var seen []string
	timeout := time.After(time.Minute)
	for {
		select {
		case line, ok := <-log:
			if !ok {
				t.Fatalf("tincd ended before it said %q:\n%s", words, strings.Join(seen, "\n"))
			}
			seen = append(seen, line)
			if all(line, words) {
				return
			}
		case <-timeout:
			t.Fatalf("tincd did not say %q:\n%s", words, strings.Join(seen, "\n"))
		}
	}
}

func all(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
