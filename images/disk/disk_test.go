package disk

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/internal/testtool"
)

// sample has data, short and long holes, and a hole at its end.
func sample(t testing.TB) (string, []byte) {
	t.Helper()
	data := make([]byte, 5<<20+512)
	copy(data, "front")
	copy(data[300<<10:], "after a short hole")
	copy(data[3<<20:], bytes.Repeat([]byte("after a long one "), 10000))
	path := filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, data
}

func run(t testing.TB, stdin io.Reader, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(testtool.Path(t, name), args...)
	cmd.Stdin = stdin
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, &stderr)
	}
	return out
}

func all(t testing.TB, path string) (data []byte, packed string) {
	t.Helper()
	m, err := Open(path, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	data, err = io.ReadAll(io.NewSectionReader(m, 0, m.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return data, m.Packed
}

// Every form in which images are published is opened, as the usual programs make it.
func TestOpen(t *testing.T) {
	path, want := sample(t)
	for _, tc := range [][]string{{"raw", "cat"}, {"gzip", "gzip", "-c"}, {"bzip2", "bzip2", "-c"}, {"xz", "xz", "-c", "-T2"}, {"zstd", "zstd", "-q", "-c", "--long=27"}} {
		packed := filepath.Join(t.TempDir(), "packed")
		if err := os.WriteFile(packed, run(t, nil, tc[1], append(tc[2:], path)...), 0o600); err != nil {
			t.Fatal(err)
		}
		got, name := all(t, packed)
		if name != tc[0] || !bytes.Equal(got, want) {
			t.Errorf("%s: %s of %d bytes, not the %d bytes that it was", tc[0], name, len(got), len(want))
		}
		if tc[0] == "raw" {
			continue
		}
		whole, err := os.ReadFile(packed)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(packed, whole[:len(whole)*9/10], 0o600); err != nil {
			t.Fatal(err)
		}
		temp := t.TempDir()
		if _, err := Open(packed, temp); err == nil || !strings.Contains(err.Error(), packed+": unpack it ("+tc[0]+")") {
			t.Errorf("%s, cut short: %v", tc[0], err)
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
}

// Every format that is written is read by its usual program, and the same twice.
func TestWrite(t *testing.T) {
	_, data := sample(t)
	dir := t.TempDir()
	for _, format := range Formats() {
		var first []byte
		for _, name := range []string{"a", "b"} {
			path := filepath.Join(dir, name+"."+format)
			if err := Write(path, 0o640, format, sparse.Bytes(data)); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if first != nil && !bytes.Equal(first, got) {
				t.Errorf("%s: the second time it differs", format)
			}
			first = got
		}
		if got, _ := all(t, filepath.Join(dir, "a."+format)); !bytes.Equal(got, data) {
			t.Errorf("%s: read back, it differs", format)
		}
		s, err := Stream(filepath.Join(dir, "a."+format))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: as a stream, it differs: %v", format, err)
		}
		s.Close()
	}
	if got := run(t, nil, "zstd", "-q", "-d", "-c", filepath.Join(dir, "a.raw.zst")); !bytes.Equal(got, data) {
		t.Error("zstd reads something else")
	}
	if err := Write(filepath.Join(dir, "x"), 0o600, "vmdk", sparse.Bytes(data)); err == nil || !strings.Contains(err.Error(), `there is no image format "vmdk"`) {
		t.Errorf("vmdk: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 6 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// Disks of holes alone, shorter than a block, and none at all.
func TestZstdOfHoles(t *testing.T) {
	for _, size := range []int64{0, 1, 4096, 128 << 10, 128<<10 + 1, 700 << 10, 8 << 20} {
		c, err := sparse.Join(size)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := WriteZstd(&b, c); err != nil {
			t.Fatal(err)
		}
		if size == 0 {
			continue // zstd wants a frame
		}
		if got := run(t, &b, "zstd", "-q", "-d", "-c"); !bytes.Equal(got, make([]byte, size)) {
			t.Errorf("%d zeros: zstd reads %d bytes", size, len(got))
		}
	}
}
