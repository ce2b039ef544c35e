package cache

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// TestMain lets the test binary be a process that fetches one file: what it is
// told by its environment.
func TestMain(m *testing.M) {
	if dir := os.Getenv("IMGFORGE_TEST_CACHE"); dir != "" {
		c := Open(dir)
		c.Client, _ = NewClient(nil)
		size, _ := strconv.ParseInt(os.Getenv("IMGFORGE_TEST_SIZE"), 10, 64)
		err := c.Fetch(context.Background(), []File{{Name: "f", URL: os.Getenv("IMGFORGE_TEST_URL"), Size: size, Digest: Digest(os.Getenv("IMGFORGE_TEST_DIGEST"))}})
		if err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func process(t *testing.T, c *Cache, f File) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "IMGFORGE_TEST_CACHE="+c.dir, "IMGFORGE_TEST_URL="+f.URL,
		"IMGFORGE_TEST_DIGEST="+string(f.Digest), "IMGFORGE_TEST_SIZE="+strconv.FormatInt(f.Size, 10))
	cmd.Stderr = os.Stderr
	return cmd
}

// The proxy of the environment is asked for what is not on this machine.
func TestProxy(t *testing.T) {
	data := contents(23, 64<<10)
	s := serve(t, map[string][]byte{"/f": data})
	var hosts []string
	s.mu.Lock() // which the race detector needs to see: the one who asks is another process
	s.fault = func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		hosts = append(hosts, r.Host)
		return false
	}
	s.mu.Unlock()
	c := open(t)
	cmd := process(t, c, File{URL: "http://files.example.org/f", Size: int64(len(data)), Digest: Of(data)})
	cmd.Env = append(cmd.Env, "http_proxy="+s.URL, "no_proxy=")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	s.Close() // and with it every handler
	holds(t, c, data)
	if len(hosts) != 1 || hosts[0] != "files.example.org" {
		t.Errorf("asked for %q", hosts)
	}
}

// Several processes want one file: one fetches it, the others wait.
func TestProcessesShareOneDownload(t *testing.T) {
	data := contents(20, 2<<20)
	s := serve(t, map[string][]byte{"/f": data})
	c := open(t)
	f := wanted(s, "/f", data)
	var all []*exec.Cmd
	for range 4 {
		cmd := process(t, c, f)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, cmd)
	}
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	holds(t, c, data)
	if s.requests() != 1 {
		t.Errorf("asked %q", s.asked)
	}
}

// A process is killed again and again in the middle of a download: the cache never
// holds a blob that is not whole, and the next process continues.
func TestKilledAgainAndAgain(t *testing.T) {
	data := contents(21, 1<<20)
	s := serve(t, map[string][]byte{"/f": data})
	const piece = 128 << 10
	sent := make(chan struct{}, 100)
	s.mu.Lock() // as above
	s.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		var from int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		w.Header().Set("Content-Length", strconv.Itoa(len(data)-from))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(data[from:min(from+piece, len(data))])
		w.(http.Flusher).Flush()
		sent <- struct{}{}
		if from+piece < len(data) {
			<-r.Context().Done() // until the process is dead
		}
		return true
	}
	s.mu.Unlock()
	c := open(t)
	f := wanted(s, "/f", data)
	for kills := 0; ; kills++ {
		if kills > 50 {
			t.Fatal("it never ends")
		}
		cmd := process(t, c, f)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-sent
		arrived(c, f, int64(min((kills+1)*piece, len(data))))
		if c.Has(f.Digest) || s.requests()*piece >= len(data) {
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			break
		}
		cmd.Process.Kill()
		cmd.Wait()
		if blobs, _ := c.List(); len(blobs) > 0 {
			t.Fatalf("after %d kills the cache holds %v", kills+1, blobs)
		}
	}
	holds(t, c, data)
	if s.requests() != len(data)/piece {
		t.Errorf("asked %q", s.asked)
	}
}

// arrived waits until the process has written what it was sent.
func arrived(c *Cache, f File, size int64) {
	for range 12_000 { // a minute, for machines that are busy
		if info, err := os.Stat(c.part(f.Digest)); c.Has(f.Digest) || err == nil && info.Size() >= size {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
