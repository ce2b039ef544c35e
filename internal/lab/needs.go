package lab

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// need is a program of the machine, and the Debian package that has it.
type need struct{ program, debian string }

// needs are the programs of the machine that a kind of node takes. Everything else
// is built from the source tree. Virtual machines that are ready need qemu alone.
func needs(kind string, ready bool) []need {
	qemu := []need{{"qemu-system-x86_64", "qemu-system-x86"}, {"qemu-img", "qemu-utils"}}
	if kind == Machine && ready {
		return qemu
	}
	all := []need{{"go", "golang, or https://go.dev/dl"}, {"git", "git"}, {"gcc", "gcc libc6-dev libblkid-dev"}}
	if kind == Machine {
		return append(append(all, qemu...), need{"apt-get", "apt"}, need{"mmdebstrap", "mmdebstrap"}, need{"unshare", "util-linux"}, need{"mke2fs", "e2fsprogs"})
	}
	return append(all, need{"apt-get", "apt"}, need{"mmdebstrap", "mmdebstrap"}, need{"systemd-nspawn", "systemd-container"}, need{"ip", "iproute2"},
		need{"journalctl", "systemd"}, need{"mount", "mount"}, need{"unshare", "util-linux"}, need{"nsenter", "util-linux"})
}

// Unable says why this machine cannot run nodes of a kind, and what to install;
// nil when it can. Virtual machines are ready when somebody made what they boot from.
func Unable(kind string, ready bool, tool func(string) (string, error)) error {
	var why []string
	if kind == Container && os.Geteuid() != 0 {
		why = append(why, "run it as root: containers take namespaces, mounts and cgroups")
	}
	var packages []string
	for _, n := range needs(kind, ready) {
		if _, err := tool(n.program); err != nil && !slices.Contains(packages, n.debian) {
			packages = append(packages, n.debian)
		}
	}
	if len(packages) > 0 {
		why = append(why, "install what is missing, on Debian: apt-get install "+strings.Join(packages, " "))
	}
	if len(why) == 0 {
		return nil
	}
	return fmt.Errorf("nodes of kind %s cannot run here: %s", kind, strings.Join(why, "; "))
}
