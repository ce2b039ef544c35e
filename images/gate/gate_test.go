package gate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool/basedisk"
)

const pemKey = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY/PuoAoGCCqGSM49\n-----END EC PRIVATE KEY-----\n"

// opened is a disk, until the test ends.
func opened(t *testing.T, path string) *disk.Image {
	t.Helper()
	image, err := disk.Open(path, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { image.Close() })
	return image
}

// Everything that no image may hold is found with its place; what a distribution's
// own image has is not.
func TestScan(t *testing.T) {
	clean := map[string]string{"etc/machine-id": "uninitialized\n", "etc/shadow": "root:*:1::::::\nlocked:!$6$a$b:1::::::\n", "etc/passwd": "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
		"usr/share/doc/example.pem": pemKey, "etc/ssl/words": "a file begins with -----BEGIN PRIVATE KEY----- and a line", "root/.ssh/authorized_keys": "# none\n"}
	for name, tc := range map[string]struct {
		path, text, want string
	}{
		"clean":       {"etc/x", "x", ""},
		"password":    {"etc/shadow", "core:$y$abc:1::::::\n", "/etc/shadow: core has a password"},
		"empty":       {"etc/shadow", "core::1::::::\n", "/etc/shadow: core needs no password"},
		"build user":  {"etc/passwd", "builder:x:1001:1001::/home/builder:/bin/sh\n", "/etc/passwd: builder is a user that somebody built it with"},
		"machine id":  {"etc/machine-id", "0123456789abcdef0123456789abcdef\n", "/etc/machine-id: a machine id, which every machine would share"},
		"host key":    {"etc/ssh/ssh_host_ed25519_key", "x", "/etc/ssh/ssh_host_ed25519_key: a host key of SSH, which every machine would share"},
		"login":       {"home/a/.ssh/authorized_keys2", "ssh-ed25519 AAAA a\n", "/home/a/.ssh/authorized_keys2: SSH keys that may log in"},
		"private key": {"etc/ssl/key.pem", "note\n" + pemKey, "/etc/ssl/key.pem: a private key"},
		"secret":      {"opt/x", "the key of the store", "it holds 1 keys of the store in the clear"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			for p, text := range clean {
				files[p] = text
			}
			files[tc.path] = tc.text
			path := filepath.Join(t.TempDir(), "disk")
			if err := basedisk.Root(path, files); err != nil {
				t.Fatal(err)
			}
			r, err := Scan(t.Context(), opened(t, path), Options{Secrets: artifact.NewFinder([][]byte{[]byte("the key of the store")})})
			if err != nil {
				t.Fatal(err)
			}
			if tc.want == "" && len(r.Findings) > 0 || tc.want != "" && !slices.ContainsFunc(r.Findings, func(f string) bool { return strings.HasSuffix(f, tc.want) }) || len(r.Findings) > 1 {
				t.Errorf("found %q, want %q", r.Findings, tc.want)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if sum := sha256.Sum256(data); r.SHA256 != hex.EncodeToString(sum[:]) || r.Size != int64(len(data)) || len(r.Unread) > 0 {
				t.Errorf("%s, %d bytes, unread %q", r.SHA256, r.Size, r.Unread)
			}
		})
	}
}

// A damaged file system whose root holds itself twice is looked at once, and said.
func TestFolderThatHoldsItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := basedisk.Root(path, map[string]string{"loop-one/x": "x", "loop-two/x": "x", "etc/ssl/key.pem": pemKey}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"loop-one", "loop-two"} {
		at := bytes.Index(data, []byte(name))
		copy(data[at-8:], []byte{2, 0, 0, 0}) // the inode of the root
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := Scan(ctx, opened(t, path), Options{})
	if err != nil || len(r.Findings) != 1 || len(r.Unread) != 2 || !strings.Contains(r.Unread[0], "/loop-one: this folder is in another place too") {
		t.Errorf("%v, found %q, unread %q", err, r.Findings, r.Unread)
	}
}
