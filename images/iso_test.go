package images

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// run runs a real program and returns what it printed.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testtool.Path(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// image writes an image into a file.
func image(t testing.TB, write func(io.Writer) error) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.iso")
	if err := artifact.WriteFile(path, 0o600, write); err != nil {
		t.Fatal(err)
	}
	return path
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := artifact.WriteBytes(path, 0o644, []byte(got)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
	}
}

// tricky holds every case that the format treats specially.
func tricky() []artifact.File {
	text := func(path string) artifact.File { return artifact.File{Path: path, Contents: []byte(path + "\n")} }
	files := []artifact.File{
		text("meta-data"),
		text("Meta-Data"),
		text(".hidden"),
		text("no extension."),
		text("two.dots.in.it"),
		text("ünïcödé name with blanks.txt"),
		text("a/b/c/d/e/f/g/h"),
		text("twin/long-name-with-the-same-beginning-1.yaml"),
		text("twin/long-name-with-the-same-beginning-2.yaml"),
		text(strings.Repeat("n", 94)),
		text(strings.Repeat("n", 121)),
		text(strings.Repeat("n", 122)),
		text(strings.Repeat("n", 250)),
		text(strings.Repeat("n", 251)),
		text(strings.Repeat("n", 255)),
		text(strings.Repeat("d", 255) + "/x"),
		{Path: "empty"},
		{Path: "modes/read-only", Mode: 0o400},
		{Path: "modes/program", Mode: 0o755, Contents: []byte("#!/bin/sh\n")},
		{Path: "sizes/2047", Contents: bytes.Repeat([]byte("a"), 2047)},
		{Path: "sizes/2048", Contents: bytes.Repeat([]byte("b"), 2048)},
		{Path: "sizes/2049", Contents: bytes.Repeat([]byte("c"), 2049)},
		{Path: "sizes/large", Contents: bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)},
	}
	for i := range 100 { // a directory of several sectors, and a path table too
		files = append(files, text(fmt.Sprintf("many/%s-%03d", strings.Repeat("x", i), i)), text(fmt.Sprintf("dirs/%03d/f", i)))
	}
	return files
}

// extract has xorriso copy an image into a folder; it reads Rock Ridge with an
// implementation that shares no code with ours.
func extract(t *testing.T, iso string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	out := run(t, "xorriso", "-abort_on", "WARNING", "-return_with", "WARNING", "32", "-osirrox", "on:auto_chmod_off", "-indev", iso, "-extract", "/", dir)
	if strings.Contains(out, "WARNING") || strings.Contains(out, "SORRY") || strings.Contains(out, "FAILURE") {
		t.Errorf("xorriso complains:\n%s", out)
	}
	return dir
}

func TestXorrisoReadsEveryFileBack(t *testing.T) {
	files := tricky()
	dir := extract(t, image(t, func(w io.Writer) error { return WriteISO(w, "everything", files) }))
	for _, f := range files {
		path := filepath.Join(dir, f.Path)
		got, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(got, f.Contents) {
			t.Errorf("%s: %d bytes differ from the %d written", f.Path, len(got), len(f.Contents))
		}
		want := os.FileMode(f.Mode)
		if want == 0 {
			want = 0o644
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v (%v), want %v", f.Path, info.Mode(), err, want)
		}
	}
	count := 0
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			count++
		}
		return err
	})
	if err != nil || count != len(files) {
		t.Errorf("%d files extracted (%v), want %d", count, err, len(files))
	}
}

// isoinfo walks the plain ISO 9660 tree and both path tables.
func TestIsoinfoListsTheSame(t *testing.T) {
	files := tricky()
	iso := image(t, func(w io.Writer) error { return WriteISO(w, "everything", files) })
	if out := run(t, "isoinfo", "-d", "-i", iso); !strings.Contains(out, "Volume id: everything") || !strings.Contains(out, "Rock Ridge signatures version 1 found") || !strings.Contains(out, "NO Joliet") {
		t.Errorf("isoinfo -d:\n%s", out)
	}
	got := listedFiles(run(t, "isoinfo", "-R", "-f", "-i", iso))
	for _, f := range files {
		if !got["/"+f.Path] {
			t.Errorf("isoinfo does not list %q", f.Path)
		}
	}
	plain := strings.Fields(run(t, "isoinfo", "-f", "-i", iso))
	slices.Sort(plain)
	if n := len(slices.Compact(plain)); n != len(strings.Fields(run(t, "isoinfo", "-f", "-i", iso))) {
		t.Error("two plain identifiers are equal")
	}
	id := regexp.MustCompile(`^(/[A-Z0-9_]{1,30}(\.[A-Z0-9_]{0,8};1)?)+$`)
	for _, name := range plain {
		if !id.MatchString(name) {
			t.Errorf("plain identifier %q breaks the rules of ISO 9660", name)
		}
	}
	// Directories by path table, in its order: parents before children.
	tables := run(t, "isoinfo", "-p", "-i", iso)
	if n := strings.Count(tables, "\n"); n < 113 {
		t.Errorf("the path table has %d lines:\n%s", n, tables)
	}
}

func listedFiles(out string) map[string]bool {
	listed := map[string]bool{}
	for line := range strings.Lines(out) {
		listed[strings.TrimRight(line, "\n")] = true
	}
	return listed
}

func TestSameBytesInAnyOrder(t *testing.T) {
	files := tricky()
	sum := func() [32]byte {
		h := sha256.New()
		if err := WriteISO(h, "x", files); err != nil {
			t.Fatal(err)
		}
		return [32]byte(h.Sum(nil))
	}
	first := sum()
	slices.Reverse(files)
	if sum() != first {
		t.Error("the order of the files changes the image")
	}
}

func TestWriteISORefuses(t *testing.T) {
	file := func(path string) []artifact.File { return []artifact.File{{Path: path}} }
	tests := map[string]struct {
		label string
		files []artifact.File
		want  string
	}{
		"no label":       {"", nil, "label"},
		"long label":     {strings.Repeat("l", 33), nil, "label"},
		"blank in label": {"a b", nil, "label"},
		"absolute":       {"x", file("/a"), "relative"},
		"climbing":       {"x", file("../a"), "relative"},
		"line feed":      {"x", file("a\nb"), "control"},
		"not UTF-8":      {"x", file("a\xff"), "UTF-8"},
		"too deep":       {"x", file("1/2/3/4/5/6/7/8/9"), "deeper"},
		"long name":      {"x", file(strings.Repeat("n", 256)), "256 bytes"},
		"setuid":         {"x", []artifact.File{{Path: "a", Mode: 0o4755}}, "permission"},
		"twice":          {"x", []artifact.File{{Path: "a"}, {Path: "a"}}, "twice"},
		"file as folder": {"x", []artifact.File{{Path: "a"}, {Path: "a/b"}}, "is a file"},
		"folder as file": {"x", []artifact.File{{Path: "a/b"}, {Path: "a"}}, "twice"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			err := WriteISO(&b, tt.label, tt.files)
			if err == nil || !strings.Contains(err.Error(), tt.want) || b.Len() > 0 {
				t.Errorf("error %v after %d bytes, want one about %q before the first", err, b.Len(), tt.want)
			}
		})
	}
}

func TestSourceLimits(t *testing.T) {
	of := func(size int64, contents string) []Source {
		return []Source{{Path: "f", Size: size, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(contents)), nil }}}
	}
	if err := WriteISOFrom(io.Discard, "x", of(1<<32, "")); err == nil || !strings.Contains(err.Error(), "at most 4294967295") {
		t.Errorf("4 GiB: %v", err)
	}
	for name, sources := range map[string][]Source{"shorter": of(3, "ab"), "longer": of(3, "abcd")} {
		if err := WriteISOFrom(io.Discard, "x", sources); err == nil || !strings.Contains(err.Error(), "changed") {
			t.Errorf("%s than announced: %v", name, err)
		}
	}
	broken := errors.New("broken")
	sources := []Source{{Path: "f", Open: func() (io.ReadCloser, error) { return nil, broken }}}
	if err := WriteISOFrom(io.Discard, "x", sources); !errors.Is(err, broken) {
		t.Errorf("unreadable: %v", err)
	}
	if err := WriteISOFrom(&limited{100000}, "x", of(1<<20, strings.Repeat("x", 1<<20))); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("full disk: %v", err)
	}
}

type limited struct{ n int }

func (l *limited) Write(p []byte) (int, error) {
	if l.n -= len(p); l.n < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

// A file just under the limit lies where its entry says, and so does the one after it.
func TestLargestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.iso")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sources := []Source{
		{Path: "large", Size: maxFileSize, Open: func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(zeros{}, maxFileSize)), nil }},
		Bytes(artifact.File{Path: "last", Contents: []byte("the end\n")}),
	}
	if err := WriteISOFrom(&sparse{f: f}, "x", sources); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := run(t, "isoinfo", "-R", "-x", "/last", "-i", path); got != "the end\n" {
		t.Errorf("the file behind it reads %q", got)
	}
	if got := run(t, "isoinfo", "-R", "-l", "-i", path); !strings.Contains(got, " 4294967295 ") {
		t.Errorf("listing:\n%s", got)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// sparse leaves holes where zeros are written.
type sparse struct {
	f *os.File
	n int64
}

func (s *sparse) Write(p []byte) (int, error) {
	at := s.n
	s.n += int64(len(p))
	if len(bytes.Trim(p, "\x00")) == 0 {
		return len(p), s.f.Truncate(s.n)
	}
	return s.f.WriteAt(p, at)
}

func FuzzImage(f *testing.F) {
	f.Add(uint64(1), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, count uint8) {
		random := rand.New(rand.NewPCG(seed, 0))
		alphabet := []rune("aAbB.-_ 0é")
		var files []artifact.File
		seen := map[string]bool{}
		for range count % 40 {
			var parts []string
			for range 1 + random.IntN(4) {
				name := make([]rune, 1+random.IntN(120))
				for i := range name {
					name[i] = alphabet[random.IntN(len(alphabet))]
				}
				parts = append(parts, string(name))
			}
			file := artifact.File{Path: strings.Join(parts, "/"), Contents: make([]byte, random.IntN(5000))}
			for i := range file.Contents {
				file.Contents[i] = byte(random.Uint32())
			}
			if !seen[file.Path] {
				seen[file.Path] = true
				files = append(files, file)
			}
		}
		var b bytes.Buffer
		if err := WriteISO(&b, "fuzz", files); err != nil {
			return // a name that is a folder too
		}
		iso := image(t, func(w io.Writer) error { _, err := w.Write(b.Bytes()); return err })
		listed := listedFiles(run(t, "isoinfo", "-R", "-f", "-i", iso))
		for _, file := range files {
			if !listed["/"+file.Path] {
				t.Fatalf("isoinfo does not list %q", file.Path)
			}
		}
		if len(files) > 0 {
			last := files[len(files)-1]
			if got := run(t, "isoinfo", "-R", "-x", "/"+last.Path, "-i", iso); got != string(last.Contents) {
				t.Fatalf("%q reads %d bytes, want %d", last.Path, len(got), len(last.Contents))
			}
		}
	})
}
