package lab

import (
	"bufio"
	"context"
	"debug/buildinfo"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// host describes the machine that the lab runs on.
func host() Host {
	h := Host{Cores: runtime.NumCPU(), Cgroups: "v1", System: "unknown"}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		// What follows the version is the builder's own.
		h.Kernel, _, _ = strings.Cut(unix.ByteSliceToString(name.Release[:]), "-")
	}
	var memory unix.Sysinfo_t
	if unix.Sysinfo(&memory) == nil {
		h.MemoryMiB = int(uint64(memory.Totalram) * uint64(memory.Unit) >> 20)
	}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		h.Cgroups = "v2"
	}
	if data, err := os.ReadFile("/etc/os-release"); err == nil {
		for line := range strings.Lines(string(data)) {
			if value, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
				h.System = strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
	}
	return h
}

// goPrograms are those that the lab builds, as far as a topology needs them.
func goPrograms() []string {
	return []string{"kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubectl", "etcd", "containerd",
		"flanneld", "cni-flannel", "coredns", "metrics-server", "cni-bridge", "ignition"}
}

// versions are those of the programs that the lab built, read from the programs.
func versions(tool func(string) (string, error)) (list []Program) {
	for _, name := range goPrograms() {
		path, err := tool(name)
		if err != nil {
			continue // it took no part, or the run would have failed
		}
		if info, err := buildinfo.ReadFile(path); err == nil {
			list = append(list, programOf(name, info))
		}
	}
	return list
}

// programOf finds the module that a program's main package is of: programs are
// built from modules of their own which only require it.
func programOf(name string, info *debug.BuildInfo) Program {
	p := Program{Name: name, Version: info.Main.Version, From: info.Main.Path}
	best := ""
	for _, dep := range info.Deps {
		if (info.Path == dep.Path || strings.HasPrefix(info.Path, dep.Path+"/")) && len(dep.Path) > len(best) {
			best, p.Version, p.From = dep.Path, dep.Version, dep.Path
			if dep.Replace != nil {
				p.Version = dep.Replace.Version
			}
		}
	}
	return p
}

// debianVersions are those of packages in the Debian trees of a cache.
func debianVersions(cache string) (list []Program) {
	wanted := []string{"systemd", "tinc", "wireguard-tools", "runc", "nftables", "haproxy", "keepalived", "iptables", "linux-image-cloud-amd64"}
	files, err := filepath.Glob(filepath.Join(cache, "*", "var/lib/dpkg/status"))
	if err != nil {
		return nil
	}
	bases, err := filepath.Glob(filepath.Join(cache, "base-*", "usr/lib/dpkg/status"))
	if err != nil {
		return nil
	}
	files = append(files, bases...)
	found := map[string]string{}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		name := ""
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if value, ok := strings.CutPrefix(lines.Text(), "Package: "); ok {
				name = value
			}
			if value, ok := strings.CutPrefix(lines.Text(), "Version: "); ok && slices.Contains(wanted, name) {
				found[name] = value
			}
		}
		f.Close()
	}
	if version := versionInside(cache, "haproxy", "-v"); version != "" {
		found["haproxy"] = version
	}
	// What was taken out of packages, nothing has a list of.
	for _, name := range []string{"runc", "keepalived"} {
		if files, err := filepath.Glob(filepath.Join(cache, "debs-*", name+"_*.deb")); err == nil && len(files) > 0 {
			parts := strings.Split(filepath.Base(files[0]), "_")
			if found[name], err = url.PathUnescape(parts[1]); err != nil {
				found[name] = parts[1]
			}
		}
	}
	for _, name := range wanted {
		if found[name] != "" {
			list = append(list, Program{Name: name, Version: found[name], From: "Debian " + release})
		}
	}
	return list
}

// versionInside is what a program of an image's packages says of itself: they
// were unpacked, and dpkg knows nothing of them. Only root can ask.
func versionInside(cache, name, flag string) string {
	programs, err := filepath.Glob(filepath.Join(cache, "packages-*/usr/sbin", name))
	if err != nil || len(programs) == 0 {
		return ""
	}
	root := strings.TrimSuffix(programs[0], "/usr/sbin/"+name)
	cmd := exec.Command("/usr/sbin/"+name, flag)
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: root}
	said, _ := cmd.CombinedOutput() // what it prints counts, not how it ends
	for word := range strings.FieldsSeq(string(said)) {
		if version := strings.TrimPrefix(word, "v"); version != "" && version[0] >= '0' && version[0] <= '9' {
			return version
		}
	}
	return ""
}

// commit names the state of a source tree.
func commit(ctx context.Context, l Config, root string) string {
	run := (&Lab{Config: l}).run
	id, err := run(ctx, "git", "-C", root, "rev-parse", "--short=12", "HEAD")
	if err != nil {
		return "unknown"
	}
	// What the lab itself writes is no part of what it tries.
	changed, err := run(ctx, "git", "-C", root, "status", "--porcelain", "--", ":/", ":(top,exclude)docs/lab.md", ":(top,exclude)docs/faults.md")
	if err != nil || changed != "" {
		return strings.TrimSpace(id) + "+"
	}
	return strings.TrimSpace(id)
}

// NewReport begins a report of what runs from a source tree.
func NewReport(ctx context.Context, c Config, root string) (*Report, error) {
	paths, err := overrideTexts()
	if err != nil {
		return nil, fmt.Errorf("list what the lab overrides: %w", err)
	}
	machine, err := machineOverrides()
	if err != nil {
		return nil, fmt.Errorf("list what the lab adds to virtual machines: %w", err)
	}
	return &Report{Commit: commit(ctx, c, root), Host: host(), added: paths, addedToMachines: machine}, nil
}

// Finish adds what is known at the end.
func (r *Report) Finish(c Config) {
	r.Programs = append(versions(c.Tool), debianVersions(c.Cache)...)
	kinds := map[string]bool{}
	for _, o := range r.Topologies {
		kinds[o.Kind] = true
	}
	r.NotProven = notProven(kinds)
	r.Overrides = nil
	if kinds[Container] {
		r.Overrides = append(append(r.Overrides, containerOverrides()...), r.added...)
	}
	if kinds[Machine] {
		r.Overrides = append(r.Overrides, r.addedToMachines...)
	}
}

// notProven lists what the kinds of node that ran cannot show.
func notProven(kinds map[string]bool) (list []string) {
	if kinds[Container] {
		list = append(list,
			"Containers share this machine's kernel: its modules, sysctls and time are not the node's own, and the kubelet and containerd run with the settings listed as overrides. While it runs, the lab raises fs.inotify.max_user_instances, which all nodes share.",
			"A container's Ignition runs from outside before its first boot, not in an initrd, and its address is set as a provider's DHCP would; no firmware, boot loader or disk takes part.",
			"Container images are made of the same programs as their projects', but are not their published images.")
	}
	if !kinds[Machine] {
		list = append(list, "cgroup v2 with the systemd driver, WireGuard in the kernel, config drives and Ignition in the initrd are for virtual machines: see make lab-vm.")
	}
	if kinds[Machine] {
		list = append(list,
			"Virtual machines boot the base's disk by the kernel and initrd that lie on it, handed over by qemu: no firmware, boot loader or update of the operating system takes part (make lab-baked has the firmware and the boot loader).",
			"Three whole masters in virtual machines do not settle on two emulated cores: those of vm-wireguard and vm-tinc run no kubelet.")
	}
	return append(list, "No provider took part: no server was made, no metadata service but the lab's own was asked, no public address was moved at a provider.")
}

// overrideTexts are the files that the lab adds to a container, in full.
func overrideTexts() (list []Override, err error) {
	paths, err := Overrides()
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		text := []byte("[Service]\nExecStart=\nExecStart=(the payload's own command) --config-dir=" + kubeletFolder)
		if path != "/"+kubeletDropIn {
			if text, err = overrideFiles.ReadFile("override" + path); err != nil {
				return nil, err
			}
		}
		list = append(list, Override{Path: path, Text: string(text)})
	}
	return list, nil
}
