package basedisk

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/internal/testtool"
)

// fixture is a partition of an image: as sfdisk is told, and what makes its contents.
type fixture struct {
	number     int
	label      string
	kind, guid string
	sectors    int64
	attributes string                          // as sfdisk names them
	fill       func(t testing.TB, path string) // gets a file of the partition's size
}

func program(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testtool.Path(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func truncated(t testing.TB, path string, size int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

// assemble lays partitions out one after another from the sector given.
func assemble(t testing.TB, diskGUID string, start int64, parts []fixture) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "base.img")
	// sfdisk waits for this file alone, sgdisk for every disk of the machine.
	script := "label: gpt\nlabel-id: " + diskGUID + "\nunit: sectors\nfirst-lba: 34\n\n"
	at := start
	var pieces []sparse.Piece
	for _, p := range parts {
		script += fmt.Sprintf("%d : start=%d, size=%d, type=%s, name=%q", p.number, at, p.sectors, p.kind, p.label)
		if p.guid != "" {
			script += ", uuid=" + p.guid
		}
		if p.attributes != "" {
			script += fmt.Sprintf(", attrs=%q", p.attributes)
		}
		script += "\n"
		file := filepath.Join(t.TempDir(), "part")
		truncated(t, file, p.sectors*512)
		if p.fill != nil {
			p.fill(t, file)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c, err := sparse.NewFile(f)
		if err != nil {
			t.Fatal(err)
		}
		pieces = append(pieces, sparse.Piece{At: at * 512, Content: c})
		at += p.sectors
	}
	truncated(t, path, (at+2048)*512)
	cmd := exec.Command(testtool.Path(t, "sfdisk"), "-q", path)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s\n%s", err, out, script)
	}
	out, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for _, p := range pieces {
		err := sparse.Runs(p.Content, sparse.Block, func(at int64, data []byte) error {
			_, err := out.WriteAt(data, p.At+at)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// Boot code must survive, and it is not in any partition.
	if _, err := out.WriteAt([]byte("boot code"), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	return path
}

// noise fills the beginning of a partition with bytes that nothing compresses.
func noise(seed byte, size int) func(testing.TB, string) {
	return func(t testing.TB, path string) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		data := make([]byte, size)
		rand.NewChaCha8([32]byte{seed}).Read(data)
		if _, err := f.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func mkfs(name string, args ...string) func(testing.TB, string) {
	return func(t testing.TB, path string) { program(t, name, append(args, path)...) }
}

// folder makes files for a file system.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
