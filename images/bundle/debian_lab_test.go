//go:build lab

package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/images/deb"
	"github.com/imgforge/imgforge/internal/testtool"
)

// closure is keepalived with all that it depends on, as apt has it.
func closure(t *testing.T) (out []*deb.Package) {
	t.Helper()
	names := []string{}
	for line := range strings.Lines(run(t, "apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks",
		"--no-replaces", "--no-enhances", "keepalived")) {
		name := strings.TrimSpace(line)
		if !strings.ContainsAny(name, "<: ") && line[0] != ' ' {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	cmd := exec.Command(testtool.Path(t, "apt-get"), append([]string{"-qq", "-o", "APT::Sandbox::User=root", "download"}, slices.Compact(names)...)...)
	cmd.Dir = t.TempDir()
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	found, err := filepath.Glob(cmd.Dir + "/*.deb")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		p, err := deb.Open(bytes.NewReader(data), int64(len(data)), hex.EncodeToString(sum[:]))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// Debian's own packages give an image in which keepalived runs.
func TestKeepalivedOfDebian(t *testing.T) {
	testtool.Root(t)
	image, err := Keepalived("amd64", closure(t), []byte("#!/usr/sbin/keepalived\n"), time.Unix(1700000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	size, err := layers[0].Size()
	t.Logf("%d bytes (%v)", size, err)
	keepalivedRuns(t, image)
}
