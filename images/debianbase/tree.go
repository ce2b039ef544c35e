package debianbase

import (
	"archive/tar"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed initrd
var initrd embed.FS

//go:embed system
var system embed.FS

// install has mmdebstrap put the packages together, and make the initrd and the boot
// loaders inside. The system comes as the tar archive at path, so that files have
// their owners whoever runs this. By root it needs nothing else, by others user
// namespaces.
func (j Job) install(ctx context.Context, dir, path string) error {
	program, err := find("mmdebstrap")
	if err != nil {
		return err
	}
	repo, inside := filepath.Join(dir, "packages"), filepath.Join(dir, "inside.tar")
	if err := repository(repo, j.Packages); err != nil {
		return err
	}
	data, err := insideTar(j.Time)
	if err != nil {
		return err
	}
	if err := os.WriteFile(inside, data, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(inside, 0o644); err != nil {
		return err
	}
	mode, err := installMode()
	if err != nil {
		return err
	}
	args := append([]string{"-c", `umask 022 && exec "$@"`, "sh", program}, j.arguments(mode, repo, inside, path)...)
	// Whoever installs is another user in a namespace, and files of the system have the
	// permission that they are made with.
	cmd := exec.CommandContext(ctx, "/bin/sh", args...)
	// Ended as apt would be by a person, so that it takes down what it has mounted.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC0", "HOME=/nonexistent", "TMPDIR=" + dir,
		"SOURCE_DATE_EPOCH=" + strconv.FormatInt(j.Time, 10), "DEBIAN_FRONTEND=noninteractive"}
	out, err := alone(cmd)
	if err != nil {
		return fmt.Errorf("mmdebstrap --mode=%s: %w: %s", mode, errors.Join(err, ctx.Err()), lastLines(out, 15))
	}
	return nil
}

// arguments are mmdebstrap's.
func (j Job) arguments(mode, repo, inside, path string) []string {
	var names []string
	for _, p := range j.Packages {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	args := []string{"--mode=" + mode, "--variant=essential", "--format=tar", "--include=" + strings.Join(names, ","), `--aptopt=APT::Install-Recommends "false"`,
		"--dpkgopt=path-exclude=/etc/kernel/postinst.d/*"}
	for _, unused := range []string{"doc", "man", "locale", "info", "lintian", "bash-completion", "zsh"} {
		args = append(args, "--dpkgopt=path-exclude=/usr/share/"+unused+"/*")
	}
	return append(args,
		// What of the old layout lies outside of /usr is a link into it.
		`--setup-hook=for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d" && ln -s "usr/$d" "$1/$d"; done`,
		// The kernel's package would have an initrd made that nobody wants.
		`--setup-hook=mkdir -p "$1/etc/kernel/postinst.d" && printf '#!/bin/sh\n' >"$1/etc/kernel/postinst.d/dracut" && chmod 755 "$1/etc/kernel/postinst.d/dracut"`,
		"--customize-hook=tar-in '"+inside+"' /",
		`--customize-hook=chroot "$1" sh /imgforge-make `+strings.Join(MakingPackages(), " "),
		"", path, "deb [trusted=yes] copy:"+repo+" ./")
}

// installMode is mmdebstrap's: root installs in a chroot, everybody else in a user
// namespace, for which the system lends them user ids.
func installMode() (string, error) {
	if os.Geteuid() == 0 {
		return "root", nil
	}
	if _, err := exec.LookPath("newuidmap"); err != nil {
		return "", errors.New("without root, newuidmap is needed: install Debian's package uidmap")
	}
	return "unshare", nil
}

// lastLines is the end of what a program said.
func lastLines(out []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// insideTar are the files that make the initrd, in their places in the system.
func insideTar(when int64) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	entries, err := initrd.ReadDir("initrd")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		data, err := initrd.ReadFile("initrd/" + e.Name())
		if err != nil {
			return nil, err
		}
		at := "usr/lib/dracut/modules.d/50imgforge/" + e.Name()
		switch e.Name() {
		case "make":
			at = "imgforge-make"
		case "dracut.conf":
			at = "etc/dracut.conf.d/imgforge.conf"
		}
		mode := int64(0o755)
		if strings.Contains(e.Name(), ".service") || strings.HasSuffix(e.Name(), ".conf") {
			mode = 0o644
		}
		if err := w.WriteHeader(&tar.Header{Name: at, Mode: mode, Size: int64(len(data)), ModTime: time.Unix(when, 0)}); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return b.Bytes(), err
}
