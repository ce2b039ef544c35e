package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// contents are bytes that a seed names, longer than one read of a connection.
func contents(seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]byte, size)
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return out
}

// server is a real file server of Go's library, whose faults are its connections'.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	files  map[string][]byte
	etag   string
	fault  func(n int, w http.ResponseWriter, r *http.Request) bool // true: it answered
	asked  []string                                                 // method, path and range
	served atomic.Int64
}

func serve(t *testing.T, files map[string][]byte) *server {
	t.Helper()
	s := &server{files: files}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	n, fault, etag := len(s.asked), s.fault, s.etag
	data, ok := s.files[r.URL.Path]
	s.mu.Unlock()
	if fault != nil && fault(n, w, r) {
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	http.ServeContent(&counted{w, s}, r, "", time.Time{}, bytes.NewReader(data))
}

func (s *server) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

type counted struct {
	http.ResponseWriter
	s *server
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.s.served.Add(int64(n))
	return n, err
}

// cut answers with the beginning of a file and then closes the connection.
func cut(data []byte, after int, w http.ResponseWriter, r *http.Request) {
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	var from int
	fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
	if from > 0 {
		fmt.Fprintf(buf, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n", from, len(data)-1, len(data), len(data)-from)
	} else {
		fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(data))
	}
	buf.Write(data[from:min(from+after, len(data))])
	buf.Flush()
	conn.Close()
}

func open(t *testing.T) *Cache {
	t.Helper()
	c := Open(filepath.Join(t.TempDir(), "cache"))
	c.Backoff = func(int) time.Duration { return 0 }
	return c
}

func wanted(s *server, path string, data []byte) File {
	return File{Name: strings.TrimPrefix(path, "/"), URL: s.URL + path, Size: int64(len(data)), Digest: Of(data)}
}

// holds insists that the cache has exactly these contents and nothing unfinished.
func holds(t *testing.T, c *Cache, all ...[]byte) {
	t.Helper()
	blobs, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(blobs) != len(all) {
		t.Errorf("the cache holds %v, wanted %d blobs", blobs, len(all))
	}
	for _, data := range all {
		if got, err := c.Read(Of(data)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	rest, _ := os.ReadDir(filepath.Join(c.dir, partsDir))
	for _, e := range rest {
		t.Errorf("left behind: %s", e.Name())
	}
}
