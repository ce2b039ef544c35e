package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/debianbase"
	"github.com/imgforge/imgforge/images/squashfs"
)

// release is the Debian whose packages the lab is made of.
const release = "bookworm"

// nodePackages are what a Debian tree of virtual machines, or of nodes that cloud-init
// sets up, carries of what payloads count on, without a kernel.
func nodePackages() []string {
	return []string{"systemd", "systemd-sysv", "dbus", "udev", "systemd-resolved", "systemd-timesyncd", "iproute2", "iputils-ping", "curl",
		"ca-certificates", "openssl", "procps", "kmod", "tinc", "wireguard-tools", "ipset", "iptables", "nftables", "conntrack", "runc",
		"socat", "ethtool", "util-linux", "mount", "gdisk", "e2fsprogs", "openssh-server", "tzdata", "netbase"}
}

// treeTime is that of every file of the base, in seconds since 1970. Nothing that the
// lab looks at follows from it.
const treeTime = 1763683200

// Tree is imgforge's own base, which nodes of os.family imgforge boot, from the cache:
// a folder with the base's /usr in it, as package debianbase makes it from the packages
// of this machine's archive.
func (l *Lab) Tree(ctx context.Context) (string, error) {
	names := slices.Concat([]string{"?essential", "?priority(required)"}, debianbase.Packages(), debianbase.MakingPackages())
	packages, err := l.choose(ctx, names)
	if err != nil {
		return "", err
	}
	job := debianbase.Job{Packages: packages, Time: treeTime, Platform: "metal", Output: filepath.Join(l.Cache, "base"), Logf: l.logf}
	content, err := job.Key()
	if err != nil {
		return "", err
	}
	return l.cached("base", keyOf([]string{"base 1", content}), func(dir string) error {
		l.logf("making the tree of imgforge's base")
		debs, err := os.MkdirTemp(l.Cache, ".debs-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(debs)
		if err := l.fetch(ctx, debs, names); err != nil {
			return err
		}
		for i := range job.Packages {
			job.Packages[i].Path = filepath.Join(debs, job.Packages[i].Path)
		}
		return debianbase.Usr(ctx, job, func(entries []squashfs.Entry) error { return layOut(filepath.Join(dir, "usr"), entries) })
	})
}

// treeOf is the tree that nodes boot whose payloads have a format.
func (l *Lab) treeOf(ctx context.Context, format string) (string, error) {
	if format == "cloud-init" {
		return l.CloudTree(ctx)
	}
	return l.Tree(ctx)
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
