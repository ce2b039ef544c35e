package deb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

// built is a package that dpkg-deb made of a folder.
func built(t *testing.T, compression string) []byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "root")
	for name, text := range map[string]string{
		"DEBIAN/control": "Package: demo\nVersion: 1:2-3\nArchitecture: amd64\nMaintainer: demo <demo@example.org>\nDepends: libc6 (>= 2.34), zlib1g\nDescription: short\n long\n .\n longer\n",
		"usr/bin/demo":   "#!/bin/sh\n", "usr/share/doc/demo/a": strings.Repeat("text", 10000),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("demo", filepath.Join(dir, "usr/bin/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "usr/bin/demo"), filepath.Join(dir, "usr/bin/same")); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "demo.deb")
	cmd := exec.Command(testtool.Path(t, "dpkg-deb"), "--build", "--root-owner-group", "-Z"+compression, dir, out)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

func open(data []byte) (*Package, error) {
	return Open(bytes.NewReader(data), int64(len(data)), sum(data))
}

// listing is one line per entry.
func listing(p *Package) (string, error) {
	var b strings.Builder
	err := p.Walk(func(f File, data io.Reader) error {
		text, err := io.ReadAll(data)
		fmt.Fprintf(&b, "%v %d:%d %s %s%s %d\n", f.Mode, f.UID, f.GID, f.Path, f.Target, f.Same, len(text))
		return err
	})
	return b.String(), err
}

// What dpkg-deb packs is read back, in every compression that Debian has used.
func TestReadsWhatDpkgBuilds(t *testing.T) {
	const want = `drwxr-xr-x 0:0 .  0
drwxr-xr-x 0:0 usr  0
drwxr-xr-x 0:0 usr/bin  0
-rwxr-xr-x 0:0 usr/bin/demo  10
-rwxr-xr-x 0:0 usr/bin/same usr/bin/demo 0
drwxr-xr-x 0:0 usr/share  0
drwxr-xr-x 0:0 usr/share/doc  0
drwxr-xr-x 0:0 usr/share/doc/demo  0
-rwxr-xr-x 0:0 usr/share/doc/demo/a  40000
Lrwxrwxrwx 0:0 usr/bin/link demo 0
`
	for _, compression := range []string{"gzip", "xz", "zstd", "none"} {
		p, err := open(built(t, compression))
		if err != nil {
			t.Fatal(compression, err)
		}
		if p.Name() != "demo 1:2-3 amd64" || p.Control["Depends"] != "libc6 (>= 2.34), zlib1g" || p.Control["Description"] != "short\nlong\n.\nlonger" {
			t.Errorf("%s: the control data is %q", compression, p.Control)
		}
		if got, err := listing(p); err != nil || got != want {
			t.Errorf("%s: the files are\n%s(%v), want\n%s", compression, got, err, want)
		}
	}
}

// A package with another digest is not looked at, and neither is half of one.
func TestRefusesOtherBytes(t *testing.T) {
	data := built(t, "gzip")
	right := sum(data)
	data[len(data)/2] ^= 1
	if _, err := Open(bytes.NewReader(data), int64(len(data)), right); err == nil || !strings.Contains(err.Error(), "not "+right) {
		t.Errorf("a changed package: %v", err)
	}
	for _, n := range []int{0, 7, 30, 100, len(data) / 2} {
		if p, err := open(data[:n]); err == nil {
			if _, err := listing(p); err == nil {
				t.Errorf("%d of %d bytes are read as a package", n, len(data))
			}
		}
	}
}

// forged is a package with any entries in it.
func forged(t *testing.T, headers ...*tar.Header) []byte {
	t.Helper()
	packed := func(headers ...*tar.Header) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		for _, h := range headers {
			text := h.PAXRecords["text"]
			h.PAXRecords, h.Size = nil, int64(len(text))
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	control := packed(&tar.Header{Name: "./control", Mode: 0o644, PAXRecords: map[string]string{"text": "Package: a\nVersion: 1\nArchitecture: all\n"}})
	out := []byte("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", control}, {"data.tar.gz", packed(headers...)}} {
		out = fmt.Appendf(out, "%-16s%-12d%-6d%-6d%-8o%-10d`\n%s", m.name, 0, 0, 0, 0o100644, len(m.data), m.data)
		if len(m.data)%2 == 1 {
			out = append(out, '\n')
		}
	}
	return out
}

func TestNothingEscapes(t *testing.T) {
	for want, headers := range map[string][]*tar.Header{
		`"../etc/passwd" leaves`:           {{Name: "../etc/passwd"}},
		`"/etc/passwd" leaves`:             {{Name: "/etc/passwd"}},
		`"./usr/../../a" leaves`:           {{Name: "./usr/../../a"}},
		`"./up/a" lies below "up"`:         {{Name: "./up", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, {Name: "./up/a"}},
		`"../../etc/shadow" leaves`:        {{Name: "a", Typeflag: tar.TypeLink, Linkname: "../../etc/shadow"}},
		`which is no file before it`:       {{Name: "a", Typeflag: tar.TypeLink, Linkname: "b"}},
		`"dev/sda" is of the kind '4'`:     {{Name: "dev/sda", Typeflag: tar.TypeBlock}},
		`"run/pipe" is of the kind '6', w`: {{Name: "run/pipe", Typeflag: tar.TypeFifo}},
	} {
		p, err := open(forged(t, headers...))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := listing(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
	p, err := open(forged(t, &tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}, &tar.Header{Name: "./usr/su", Mode: 0o4755}))
	if err != nil {
		t.Fatal(err)
	}
	var mode fs.FileMode
	if err := p.Walk(func(f File, _ io.Reader) error { mode = f.Mode; return nil }); err != nil || mode != fs.ModeSetuid|0o755 {
		t.Errorf("a program with setuid has the mode %v (%v)", mode, err)
	}
}

// FuzzOpen: nobody's bytes crash the reader.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("!<arch>\n"))
	f.Add([]byte("!<arch>\ndebian-binary   0           0     0     100644  4         `\n2.0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := open(data); err == nil {
			_, _ = listing(p)
		}
	})
}
