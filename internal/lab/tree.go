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

// nodePackages are what a Debian tree of nodes that cloud-init sets up carries of what
// payloads count on, without a kernel.
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
	job, names, err := l.baseJob(ctx, "metal")
	if err != nil {
		return "", err
	}
	job.Output = filepath.Join(l.Cache, "base")
	content, err := job.Key()
	if err != nil {
		return "", err
	}
	return l.cached("base", keyOf([]string{"base 1", content}), func(dir string) error {
		l.logf("making the tree of imgforge's base")
		return l.withPackages(ctx, job, names, func(job debianbase.Job) error {
			return debianbase.Usr(ctx, job, func(entries []squashfs.Entry) error { return layOut(filepath.Join(dir, "usr"), entries) })
		})
	})
}

// baseJob is what makes the base for a platform of Ignition's. Its packages are not
// fetched yet: names are what apt is asked for.
func (l *Lab) baseJob(ctx context.Context, platform string) (job debianbase.Job, names []string, err error) {
	names = slices.Concat([]string{"?essential", "?priority(required)"}, debianbase.Packages(), debianbase.MakingPackages())
	packages, err := l.choose(ctx, names)
	return debianbase.Job{Packages: packages, Time: treeTime, Platform: platform, Logf: l.logf}, names, err
}

// withPackages fetches the packages of a job for as long as use takes.
func (l *Lab) withPackages(ctx context.Context, job debianbase.Job, names []string, use func(debianbase.Job) error) error {
	debs, err := os.MkdirTemp(l.Cache, ".debs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(debs)
	if err := l.fetch(ctx, debs, names); err != nil {
		return err
	}
	job.Packages = slices.Clone(job.Packages)
	for i := range job.Packages {
		job.Packages[i].Path = filepath.Join(debs, job.Packages[i].Path)
	}
	return use(job)
}

// treeOf is the tree that nodes boot whose payloads have a format.
func (l *Lab) treeOf(ctx context.Context, format string) (string, error) {
	if format == "cloud-init" {
		return l.CloudTree(ctx)
	}
	return l.Tree(ctx)
}

// debian makes a Debian tree of packages and what they need.
func (l *Lab) debian(ctx context.Context, dir, variant string, packages []string) error {
	args := []string{"--variant=" + variant, "--mode=root", "--aptopt=APT::Install-Recommends \"false\"", "--include=" + strings.Join(packages, ",")}
	for _, unused := range []string{"doc", "man", "locale"} {
		args = append(args, "--dpkgopt=path-exclude=/usr/share/"+unused+"/*")
	}
	if _, err := l.run(ctx, "mmdebstrap", append(args, release, dir)...); err != nil {
		return fmt.Errorf("make a Debian tree: %w", err)
	}
	return nil
}

// keyOf names content by what it is made of.
func keyOf(parts []string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d %s\n", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}
