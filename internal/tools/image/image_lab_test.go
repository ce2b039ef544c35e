//go:build lab

package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgforge/imgforge/internal/testtool"
)

// The image is the same twice, another reader copies it with every digest checked,
// and in its root, as its user, imgforge finds the tools that it runs.
func TestImage(t *testing.T) {
	testtool.Root(t)
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.tar"), filepath.Join(dir, "two.tar")
	digest, err := write(t.Context(), one, "imgforge:test", []string{"amd64"})
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Umask(syscall.Umask(0o077))
	t.Setenv("TZ", "Asia/Tokyo")
	again, err := write(t.Context(), two, "imgforge:test", []string{"amd64"})
	if err != nil || again != digest {
		t.Fatalf("%v: the second is %s, the first %s", err, again, digest)
	}
	first, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(two); err != nil || !bytes.Equal(first, second) {
		t.Errorf("two runs wrote different archives: %v", err)
	}
	root := unpacked(t, one)
	inside(t, root, "imgforge", "version", "--tools")
	inside(t, root, "imgforge", "build", "--example", "single", "-o", "/data/out")
	inside(t, root, "imgforge", "verify", "/data/out")
	trusted, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
	if err != nil || !x509.NewCertPool().AppendCertsFromPEM(trusted) || bytes.Count(trusted, []byte("BEGIN CERTIFICATE")) < 100 {
		t.Errorf("authorities: %v, %d bytes", err, len(trusted))
	}
}

// unpacked is the root of the image in an archive, as skopeo and tar have it.
func unpacked(t *testing.T, archive string) string {
	t.Helper()
	dir := t.TempDir()
	copied, root := filepath.Join(dir, "copied"), filepath.Join(dir, "root")
	run(t, "skopeo", "copy", "--insecure-policy", "--preserve-digests", "oci-archive:"+archive, "dir:"+copied)
	data, err := os.ReadFile(filepath.Join(copied, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m v1.Manifest
	if err := json.Unmarshal(data, &m); err != nil || len(m.Layers) != 1 {
		t.Fatalf("%v: %d layers", err, len(m.Layers))
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "tar", "-xzpf", filepath.Join(copied, m.Layers[0].Digest.Hex), "-C", root, "--same-owner")
	// What every engine gives a container.
	if err := os.Mkdir(filepath.Join(root, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mknod(filepath.Join(root, "dev/null"), syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"dev": 0o755, "dev/null": 0o666} { // whatever the umask
		if err := os.Chmod(filepath.Join(root, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	for d := root; d != "/tmp" && d != "/"; d = filepath.Dir(d) { // for its user
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(testtool.Path(t, name), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// inside runs a program of the image as its user, with nothing but the image's root.
func inside(t *testing.T, root, name string, args ...string) {
	t.Helper()
	cmd := exec.Command("/usr/bin/"+name, args...)
	cmd.Dir = "/data"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/home/imgforge"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		return
	}
	t.Logf("%s", out)
}
