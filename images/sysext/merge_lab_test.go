//go:build lab

package sysext

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/deb"
	"github.com/imgforge/imgforge/internal/testtool"
)

// debian fetches packages as apt does.
func debian(t *testing.T, names ...string) (out []*deb.Package) {
	t.Helper()
	cmd := exec.Command(testtool.Path(t, "apt-get"), append([]string{"-qq", "-o", "APT::Sandbox::User=root", "download"}, names...)...)
	cmd.Dir = t.TempDir()
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	found, err := filepath.Glob(cmd.Dir + "/*.deb")
	if err != nil || len(found) != len(names) {
		t.Fatalf("apt-get fetched %q (%v)", found, err)
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

// merged runs a script in a mount namespace of its own, where systemd-sysext has
// merged the image into $ROOT: a system with a shell and no library at all.
func merged(t *testing.T, image, script string) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"etc/extensions", "usr/bin", "usr/lib", "run", "proc", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string][]byte{"usr/lib/os-release": []byte("ID=flatcar\nVERSION_ID=4593.2.0\nSYSEXT_LEVEL=1.0\n")}
	for _, p := range debian(t, "busybox-static") {
		if err := p.Walk(func(f deb.File, r io.Reader) (err error) {
			if f.Path == "bin/busybox" || f.Path == "usr/bin/busybox" {
				files["usr/bin/busybox"], err = io.ReadAll(r)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	files["etc/extensions/imgforge.raw"] = data
	for path, data := range files {
		if err := os.WriteFile(filepath.Join(root, path), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, target := range map[string]string{"bin": "usr/bin", "lib": "usr/lib", "usr/bin/sh": "busybox"} {
		if err := os.Symlink(target, filepath.Join(root, path)); err != nil {
			t.Fatal(err)
		}
	}
	whole := "set -e\nmount --make-rshared /\nmount -t tmpfs tmpfs /run\nmount --make-rshared /run\n" +
		"systemd-sysext --root=$ROOT merge\ntrap 'systemd-sysext --root=$ROOT unmerge' EXIT\n" + script
	cmd := exec.Command(testtool.Path(t, "unshare"), "--mount", "sh", "-c", whole)
	cmd.Env = append(os.Environ(), "ROOT="+root)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// systemd-sysext itself merges the image, and every program of Debian's runs in a
// system that has none of its libraries.
func TestSystemdMerges(t *testing.T) {
	testtool.Root(t)
	packages := debian(t, "tinc", "libc6", "liblzo2-2", "zlib1g", "libssl3", "nftables", "libnftables1", "libnftnl11", "libmnl0", "libgmp10",
		"libjansson4", "libxtables12", "libedit2", "libbsd0", "libmd0", "libtinfo6", "conntrack", "ethtool", "wireguard-tools",
		"libnetfilter-conntrack3", "libnfnetlink0")
	programs := map[string]string{"conntrack": "conntrack v", "ethtool": "ethtool version", "nft": "nftables v", "tincd": "tinc version 1.0", "wg": "wireguard-tools v"}
	var names []string
	for name := range programs {
		names = append(names, name)
	}
	for _, family := range []string{"debian", "flatcar"} {
		files, err := FromPackages("amd64", packages, names)
		if err != nil {
			t.Fatal(err)
		}
		e := extension(t, family)
		for name := range programs {
			e.Files = without(e.Files, "usr/bin/"+name)
		}
		e.Files = append(e.Files, files...)
		script := "ls $ROOT/usr/lib/systemd/system\n"
		for name := range programs {
			script += "chroot $ROOT " + name + " --version\n"
		}
		got := merged(t, image(t, e), script+"test -x $ROOT/usr/lib/imgforge/cni/bridge\n! touch $ROOT/usr/a 2>/dev/null\n")
		for name, says := range programs {
			if !strings.Contains(got, says) {
				t.Errorf("%s: %s is not in\n%s", family, name, got)
			}
		}
		if !strings.Contains(got, "imgforge-images.service") {
			t.Errorf("%s: the unit is not merged:\n%s", family, got)
		}
	}
}

// An image of another architecture, or for another system, stays out.
func TestSystemdRefusesOthers(t *testing.T) {
	testtool.Root(t)
	other := extension(t, "debian")
	other.Arch = "arm64"
	got := merged(t, image(t, other), "ls $ROOT/usr/bin\n")
	if strings.Contains(got, "kubelet") {
		t.Errorf("an extension for arm64 is merged on amd64:\n%s", got)
	}
}
