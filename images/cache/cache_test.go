package cache

import (
	"bytes"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestFullDisk(t *testing.T) {
	data := contents(15, 64<<10)
	s := serve(t, map[string][]byte{"/f": data})
	c := open(t)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limit := before
	limit.Cur = 20 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	err := c.Fetch(t.Context(), []File{wanted(s, "/f", data)})
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err == nil || !strings.Contains(err.Error(), "free some space there") || len(s.asked) != 1 {
		t.Errorf("%v; asked %q", err, s.asked)
	}
	if blobs, _ := c.List(); len(blobs) > 0 {
		t.Errorf("%v", blobs)
	}
	if err := c.Fetch(t.Context(), []File{wanted(s, "/f", data)}); err != nil {
		t.Fatal(err)
	}
	holds(t, c, data)
}

func TestTending(t *testing.T) {
	a, b := contents(16, 1<<10), contents(17, 2<<10)
	s := serve(t, map[string][]byte{"/a": a, "/b": b})
	c := open(t)
	if err := c.Fetch(t.Context(), []File{wanted(s, "/a", a), wanted(s, "/b", b)}); err != nil {
		t.Fatal(err)
	}
	begun(t, c, File{Digest: Of([]byte("never finished"))}, []byte("never"), origin{URL: "x"})
	gone, freed, err := c.Prune(map[Digest]bool{Of(a): true})
	if err != nil || len(gone) != 1 || gone[0].Digest != Of(b) || freed != 2<<10+5 {
		t.Errorf("%v, %d bytes, %v", gone, freed, err)
	}
	holds(t, c, a)
	if err := os.WriteFile(c.blob(Of(a)), contents(18, 1<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	damaged, err := c.Damaged()
	if err != nil || len(damaged) != 1 {
		t.Errorf("%v, %v", damaged, err)
	}
	if _, err := c.Read(Of(a)); err == nil || !strings.Contains(err.Error(), "changed on the disk") {
		t.Errorf("%v", err)
	}
	if err := c.Remove(damaged); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Path(Of(a)); err == nil {
		t.Error("a removed blob is still there")
	}
}

// An authority of one's own is trusted besides the system's; without it the
// message says what to do, and nobody tries again.
func TestAuthority(t *testing.T) {
	data := contents(24, 1<<10)
	s := &server{files: map[string][]byte{"/f": data}}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	c := open(t)
	var err error
	if c.Client, err = NewClient(nil); err != nil {
		t.Fatal(err)
	}
	err = c.Fetch(t.Context(), []File{wanted(s, "/f", data)})
	if err == nil || !strings.Contains(err.Error(), "name the authority's certificate with --ca") || strings.Contains(err.Error(), "tried") {
		t.Errorf("%v", err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if c.Client, err = NewClient(ca); err != nil {
		t.Fatal(err)
	}
	if err := c.Fetch(t.Context(), []File{wanted(s, "/f", data)}); err != nil {
		t.Fatal(err)
	}
	holds(t, c, data)
	if _, err := NewClient([]byte("no certificate")); err == nil {
		t.Error("an authority that is none")
	}
}

func TestSmallDocuments(t *testing.T) {
	data := contents(25, 1000)
	s := serve(t, map[string][]byte{"/f": data})
	c := open(t)
	if size, err := c.Size(t.Context(), s.URL+"/f"); err != nil || size != 1000 || s.served.Load() != 1 {
		t.Errorf("%d, %v: %d bytes came", size, err, s.served.Load())
	}
	if got, err := c.Get(t.Context(), s.URL+"/f", 1000); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := c.Get(t.Context(), s.URL+"/f", 999); err == nil || !strings.Contains(err.Error(), "longer than 999 bytes") {
		t.Errorf("%v", err)
	}
	s.fault = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n%3 != 0 {
			w.WriteHeader(503)
		}
		return n%3 != 0
	}
	if got, err := c.Get(t.Context(), s.URL+"/f", 1000); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	c.Offline = true
	if _, err := c.Get(t.Context(), s.URL+"/f", 1000); err == nil || !strings.Contains(err.Error(), "--offline fetches nothing") {
		t.Errorf("%v", err)
	}
}

func TestDigests(t *testing.T) {
	for _, bad := range []string{"", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:" + strings.Repeat("A", 64), "sha512:" + strings.Repeat("a", 64), strings.Repeat("a", 64)} {
		if _, err := ParseDigest(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	for _, good := range []string{"sha256:" + strings.Repeat("a", 64), "sha512:" + strings.Repeat("0", 128)} {
		if d, err := ParseDigest(good); err != nil || string(d) != good {
			t.Errorf("%q: %v", good, err)
		}
	}
	if err := open(t).Put(Of([]byte("a")), []byte("b")); err == nil || !strings.Contains(err.Error(), "nothing was kept") {
		t.Errorf("%v", err)
	}
}

func TestBar(t *testing.T) {
	b := &bar{total: 4e6, files: 3, bytes: 1e6, done: 1}
	if got, want := b.line(), "[#######.......................] 1.0 MB of 4.0 MB, 1 of 3 files"; got != want {
		t.Errorf("%s, wanted %s", got, want)
	}
	var out bytes.Buffer
	p := Bar(&out)(1, 10)
	p.Add(10)
	p.Done("f")
	p.End()
	if !strings.HasSuffix(out.String(), "10 B of 10 B, 1 of 1 files\x1b[K\n") {
		t.Errorf("%q", out.String())
	}
}
