package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// release is the Debian whose packages the lab is made of.
const release = "bookworm"

// nodePackages are what the system of a node carries: those of the imgforge
// base that payloads count on, without a kernel.
func nodePackages() []string {
	return []string{"systemd", "systemd-sysv", "dbus", "udev", "systemd-resolved", "systemd-timesyncd", "iproute2", "iputils-ping", "curl",
		"ca-certificates", "openssl", "procps", "kmod", "tinc", "wireguard-tools", "ipset", "iptables", "nftables", "conntrack", "runc",
		"socat", "ethtool", "util-linux", "mount", "gdisk", "e2fsprogs", "openssh-server", "tzdata", "netbase"}
}

// Tree is the root of a node before its first boot, from the cache. It is
// read-only: nodes lay their own files over it.
func (l *Lab) Tree(ctx context.Context) (string, error) {
	packages := nodePackages()
	return l.cached("tree", keyOf(append([]string{"tree 2", release}, packages...)), func(dir string) error {
		l.logf("making a Debian tree of %d packages and what they need", len(packages))
		if err := l.debian(ctx, dir, "minbase", packages); err != nil {
			return err
		}
		return firstBoot(dir)
	})
}

// debian makes a Debian tree of packages and what they need; more are arguments
// for what makes it.
func (l *Lab) debian(ctx context.Context, dir, variant string, packages []string, more ...string) error {
	args := []string{"--variant=" + variant, "--mode=root", "--aptopt=APT::Install-Recommends \"false\"", "--include=" + strings.Join(packages, ",")}
	for _, unused := range []string{"doc", "man", "locale"} {
		args = append(args, "--dpkgopt=path-exclude=/usr/share/"+unused+"/*")
	}
	if _, err := l.run(ctx, "mmdebstrap", append(append(args, more...), release, dir)...); err != nil {
		return fmt.Errorf("make a Debian tree: %w", err)
	}
	return nil
}

// firstBoot makes a tree one that was never booted: what is enabled follows from
// presets alone, and the name comes from outside.
func firstBoot(dir string) error {
	for path, text := range map[string]string{
		"etc/machine-id": "uninitialized\n",
		"usr/lib/systemd/system-preset/99-default.preset": "disable *\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644); err != nil {
			return err
		}
	}
	// It asks questions on the console of a machine that nobody sits at.
	if err := os.Symlink("/dev/null", filepath.Join(dir, "etc/systemd/system/systemd-firstboot.service")); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(dir, "etc/hostname"))
}

// keyOf names content by what it is made of.
func keyOf(parts []string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d %s\n", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}
