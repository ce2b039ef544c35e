package forge

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/internal/artifact"
)

// verified builds a folder with a sealed disk of one format, changes the image, and
// returns what is wrong.
func verified(t *testing.T, format string, data []byte, secrets [][]byte, change func(path string) error) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	tree, err := artifact.NewTree(out, artifact.TreeInfo{Cluster: "tiny"})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Abort()
	sum := sha256.Sum256(data)
	item := artifact.Item{Path: "worker.img", Kind: "image", Role: "worker", Format: format,
		Disk: &artifact.Disk{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data)), Sealed: true}}
	if _, err := tree.AddFiles([]artifact.Item{item}, func(paths []string) error {
		return disk.Write(paths[0], 0o600, format, sparse.Bytes(data))
	}); err != nil {
		t.Fatal(err)
	}
	if err := tree.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := change(filepath.Join(out, artifact.Public, "worker.img")); err != nil {
		t.Fatal(err)
	}
	v := &Verification{}
	if v.Verdict, err = artifact.Verify(out, artifact.VerifyOptions{Secrets: secrets, Expand: expand, Disks: true}); err != nil {
		t.Fatal(err)
	}
	if err := v.disks(out, secrets); err != nil {
		t.Fatal(err)
	}
	return strings.Join(v.Problems, "\n")
}

// A raw image is read once, as a disk, and all that is wrong with it is found all the same.
func TestVerifyDisks(t *testing.T) {
	secret := []byte("correct horse battery staple")
	clean := bytes.Repeat([]byte("a disk. "), 64<<10)
	leaking := bytes.Clone(clean)
	copy(leaking[300_000:], secret)
	nothing := func(string) error { return nil }
	spoil := func(path string) error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte{0xff}, 256<<10)
		return err
	}
	for _, tc := range []struct {
		name, format string
		data         []byte
		change       func(string) error
		want         string
	}{
		{"raw", disk.Raw, clean, nothing, ""},
		{"qcow2", disk.QCOW2, clean, nothing, ""},
		{"a raw one that changed", disk.Raw, clean, spoil, "public/worker.img: the sha256 of its disk is "},
		{"a qcow2 that changed", disk.QCOW2, clean, spoil, "public/worker.img: its sha256 is "},
		{"a raw one that was cut", disk.Raw, clean, func(path string) error { return os.Truncate(path, 8<<10) }, "public/worker.img: it has 8192 bytes, the manifest says 524288"},
		{"a raw one that is gone", disk.Raw, clean, os.Remove, "public/worker.img: is missing"},
		{"a raw one that others may write", disk.Raw, clean, func(path string) error { return os.Chmod(path, 0o666) }, "public/worker.img: its mode is 0666"},
		{"a raw one with a key in it", disk.Raw, leaking, nothing, "public/worker.img: it holds 1 secret of the store"},
		{"a qcow2 with a key in it", disk.QCOW2, leaking, nothing, "public/worker.img: it holds 1 secret of the store"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := verified(t, tc.format, tc.data, [][]byte{secret}, tc.change)
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) || strings.Contains(got, "horse") {
				t.Errorf("problems:\n%s\nwant %q", got, tc.want)
			}
		})
	}
}
