package node

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// What the node's system extension adds to the units of its payload.
const (
	imagesUnit     = "imgforge-images.service"
	imagesUnitPath = "/usr/lib/systemd/system/" + imagesUnit
	imagesDropin   = "/usr/lib/systemd/system/kubelet.service.d/10-imgforge-images.conf"
)

// bringExtension is bringUnits on a running system. Whoever is claimed stays claimed:
// what goes wrong here is said, and the images that are then missing have a code.
func bringExtension(ctx context.Context, o options, stderr io.Writer) {
	if o.root != "/" {
		return
	}
	if err := bringUnits(host{root: o.root}, systemctl(ctx)); err != nil {
		fmt.Fprintln(stderr, "imgforge: the units of the system extension:", err)
	}
}

// bringUnits has systemd know the units of the system extension, and the kubelet wait
// for the container images. Where extensions are merged in the initrd this is so
// already. Where they are merged later, systemd has read its units without them: up to
// 253 it does not look again by itself, and never adds to what it already starts.
func bringUnits(h host, systemctl func(args ...string) (string, error)) error {
	if !h.exists(imagesUnitPath) {
		return nil // the images come another way
	}
	dropins, err := systemctl("show", "--property=DropInPaths", "--value", "kubelet.service")
	if err != nil {
		return err
	}
	if !strings.Contains(dropins, imagesDropin) {
		if _, err := systemctl("daemon-reload"); err != nil {
			return err
		}
	}
	// The claim runs before what it starts, so it must not wait for it.
	_, err = systemctl("start", "--no-block", imagesUnit)
	return err
}

func systemctl(ctx context.Context) func(args ...string) (string, error) {
	return func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
		return string(out), nil
	}
}
