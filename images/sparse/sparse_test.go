package sparse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func file(t testing.TB, size int64, at map[int64]string) *File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for offset, text := range at {
		if _, err := f.WriteAt([]byte(text), offset); err != nil {
			t.Fatal(err)
		}
	}
	c, err := NewFile(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// all reads a content whole, without looking for holes.
func all(t testing.TB, c Content) []byte {
	t.Helper()
	data, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err != nil || int64(len(data)) != c.Size() {
		t.Fatalf("%d of %d bytes: %v", len(data), c.Size(), err)
	}
	return data
}

// A disk of every kind of piece is copied with its holes.
func TestCopy(t *testing.T) {
	base := file(t, 10<<20+5, map[int64]string{0: "front", 3<<20 + 7: "inside", 10 << 20: "tail!"})
	middle, err := Section(base, 3<<20, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	stream := NewStream(9000, func(w io.Writer) error { _, err := w.Write(bytes.Repeat([]byte("s"), 9000)); return err })
	defer stream.Close()
	disk, err := Join(32<<20+100, Piece{20 << 20, middle}, Piece{0, Bytes([]byte("header"))}, Piece{1 << 20, stream},
		Piece{30 << 20, Bytes(make([]byte, 1<<20))}, Piece{32 << 20, Bytes([]byte("end"))}, Piece{2 << 20, Bytes(nil)})
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, disk.Size())
	copy(want, "header")
	copy(want[1<<20:], bytes.Repeat([]byte("s"), 9000))
	copy(want[20<<20+7:], "inside")
	copy(want[32<<20:], "end")
	if !bytes.Equal(all(t, disk), want) {
		t.Error("read whole, it differs")
	}
	out := file(t, 0, nil)
	if err := WriteRaw(out.File, disk); err != nil {
		t.Fatal(err)
	}
	if out, err = NewFile(out.File); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(all(t, out), want) {
		t.Error("the copy differs")
	}
	if from, _, err := out.Next(2 << 20); err != nil || from != 20<<20 {
		t.Errorf("the first data after 2 MiB is at %d, %v: the holes are not there", from, err)
	}
	runs := ""
	if err := Runs(disk, 64<<10, func(at int64, data []byte) error { runs += fmt.Sprintf("%d+%d ", at, len(data)); return nil }); err != nil {
		t.Fatal(err)
	}
	if runs != "0+65536 1048576+65536 20971520+65536 33554432+100 " {
		t.Errorf("runs of 64 KiB: %s", runs)
	}
}

func TestOverlapAndBounds(t *testing.T) {
	for _, pieces := range [][]Piece{
		{{0, Bytes(make([]byte, 10))}, {9, Bytes(make([]byte, 10))}},
		{{95, Bytes(make([]byte, 10))}},
		{{-1, Bytes(make([]byte, 10))}},
	} {
		if _, err := Join(100, pieces...); err == nil {
			t.Errorf("%v is accepted", pieces)
		}
	}
	if _, err := Section(Bytes(make([]byte, 10)), 5, 6); err == nil {
		t.Error("a section outside is accepted")
	}
}

// An encoder that says another size than it writes, or fails, ends the copy.
func TestStreamMustKeepItsWord(t *testing.T) {
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		write int
		err   error
		want  string
	}{
		"short": {99, nil, "fewer than the 100 bytes announced"},
		"long":  {101, nil, "more than the 100 bytes announced"},
		"fails": {50, broken, "broken"},
		"late":  {100, broken, "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewStream(100, func(w io.Writer) error {
				if _, err := w.Write(make([]byte, tc.write)); err != nil {
					return err
				}
				return tc.err
			})
			defer s.Close()
			err := Runs(s, Block, func(int64, []byte) error { return nil })
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// A stream can be read twice.
func TestStreamAgain(t *testing.T) {
	s := NewStream(5, func(w io.Writer) error { _, err := io.WriteString(w, "hello"); return err })
	defer s.Close()
	for range 2 {
		if got := all(t, s); string(got) != "hello" {
			t.Errorf("%q", got)
		}
	}
}
