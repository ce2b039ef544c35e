//go:build lab

package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The extension of each family has what its system lacks, and all of it runs here.
func TestExtensionsAreLaidOut(t *testing.T) {
	b := newTrial(t, "tinc-vip")
	for _, family := range []string{"imgforge", "debian"} {
		p := *b.Plan
		p.OS.Family, p.OS.Channel = family, map[string]string{"debian": "12"}[family]
		dirs, err := b.Extensions(t.Context(), &p, "etcdctl")
		must(t, err)
		programs := []string{"usr/bin/kubelet", "usr/bin/crictl", "usr/bin/containerd", "usr/bin/runc"}
		if family == "debian" {
			programs = append(programs, "usr/lib/imgforge/bin/nft") // with a launcher for the folder that it is merged into
		}
		for _, program := range programs {
			out, err := exec.Command(filepath.Join(dirs[0], program), "--version").CombinedOutput()
			if err != nil || !strings.ContainsAny(string(out), "0123456789") {
				t.Errorf("%s: %s says %q, %v", family, program, out, err)
			}
		}
		for _, path := range []string{"usr/lib/imgforge/cni/bridge", "usr/lib/systemd/system/imgforge-images.service", "usr/lib/extension-release.d/extension-release.imgforge"} {
			must(t, statOf(filepath.Join(dirs[0], path)))
		}
		must(t, statOf(filepath.Join(dirs[1], "usr/bin/etcdctl")))
	}
}

func statOf(path string) error {
	_, err := os.Stat(path)
	return err
}
