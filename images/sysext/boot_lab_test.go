//go:build lab

package sysext

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/testtool"
)

// Units of a node as its payload has them, as far as their order goes. The claim does
// what imgforge-node's does for the units of an extension that was merged late.
func payloadUnits() map[string]string {
	const once = "\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart="
	return map[string]string{
		"imgforge-claim.service": "[Unit]\nAfter=systemd-sysext.service\n" + once + "/bin/sh -c 'systemctl daemon-reload; systemctl start --no-block imgforge-images.service'\n",
		"containerd.service":     "[Unit]\nAfter=imgforge-claim.service\n" + once + "/bin/true\n",
		"kubelet.service": "[Unit]\nRequires=imgforge-claim.service containerd.service\nAfter=imgforge-claim.service containerd.service\n" + once +
			"/bin/sh -c 'ls /images-done > /kubelet 2>&1; cat /usr/lib/imgforge/cni/bridge >> /kubelet; touch /usr/x 2>> /kubelet'\n" +
			"ExecStartPost=/bin/sh -c 'systemctl poweroff --no-block'\n",
	}
}

// In a booted system systemd merges the extension by itself, and the kubelet waits for
// the images even though systemd 252 reads its units before.
func TestKubeletWaitsForImages(t *testing.T) {
	testtool.Root(t)
	root := filepath.Join(t.TempDir(), "root")
	run(t, "mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd-sysv,dbus", "bookworm", root)
	e := extension(t, "debian")
	e.Files = append(without(e.Files, "usr/bin/imgforge-node"), Bytes("usr/bin/imgforge-node", 0o755, []byte("#!/bin/sh\nsleep 2\necho \"$@\" >/images-done\n")))
	// A container has no loop devices: the folder is what the image holds.
	folder := filepath.Join(root, "etc/extensions", Name)
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "unsquashfs", "-no-progress", "-d", folder, image(t, e))
	system := filepath.Join(root, "etc/systemd/system")
	enable := func(unit, target, from string) {
		wants := filepath.Join(system, target+".wants")
		if err := os.MkdirAll(wants, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(from+unit, filepath.Join(wants, unit)); err != nil {
			t.Fatal(err)
		}
	}
	enable("systemd-sysext.service", "sysinit.target", "/usr/lib/systemd/system/")
	for name, text := range payloadUnits() {
		if err := os.WriteFile(filepath.Join(system, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		enable(name, "multi-user.target", "../")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, _ := exec.CommandContext(ctx, testtool.Path(t, "systemd-nspawn"), "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network",
		"--capability=all", "--console=pipe", "--directory", root).CombinedOutput()
	got, err := os.ReadFile(filepath.Join(root, "kubelet"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"/images-done\n", "I am bridge\n", "Read-only file system"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the kubelet sees no %q:\n%s\n%s", want, got, out)
		}
	}
	if words, err := os.ReadFile(filepath.Join(root, "images-done")); err != nil || string(words) != "images --keep-trying\n" {
		t.Errorf("the helper was called with %q (%v)", words, err)
	}
}
