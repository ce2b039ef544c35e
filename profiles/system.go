package profiles

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/payload"
)

// sharedSystem closes and tunes the base system: no logins, the kernel settings
// that the kubelet insists on, bounded logs, and the time.
func sharedSystem(s *shared) error {
	for _, name := range maskedUnits() {
		s.unit(payload.Unit{Name: name, Mask: true})
	}
	for _, f := range []struct {
		path, template string
		data           any
	}{
		{"/etc/sysctl.d/90-imgforge.conf", "common/sysctl.conf", nil},
		{"/etc/modules-load.d/imgforge.conf", "common/modules.conf", kernelModules(s)},
		{"/etc/systemd/journald.conf.d/50-imgforge.conf", "common/journald.conf", nil},
	} {
		if err := s.fill(f.path, 0o644, f.template, f.data); err != nil {
			return err
		}
	}
	return s.time()
}

// maskedUnits cannot be started by anything. Nobody logs in: not over the
// network, not through a hypervisor's socket, not at a console, where a prompt
// would only cover the boot codes. The kubelet refuses to run with swap.
func maskedUnits() []string {
	return []string{
		"sshd.service", "sshd.socket", "ssh.service", "ssh.socket",
		"sshd-unix-local.socket", "sshd-vsock.socket", // made by systemd's ssh generator since 256
		"getty@.service", "serial-getty@.service", "console-getty.service", "container-getty@.service",
		"debug-shell.service",
		"swap.target",
	}
}

// kernelModules are loaded at boot rather than on demand, which a container may
// not ask for.
func kernelModules(s *shared) []string {
	modules := []string{"br_netfilter", "nf_conntrack", "nf_tables", "overlay", "vxlan"}
	switch s.plan.Network.Mesh {
	case "tinc":
		modules = append(modules, "tun")
	case "wireguard":
		modules = append(modules, "wireguard")
	}
	if s.plan.Kubernetes.ProxyMode == "ipvs" {
		modules = append(modules, "ip_vs", "ip_vs_rr", "ip_vs_sh", "ip_vs_wrr")
	}
	slices.Sort(modules)
	return modules
}

// time sets the zone and the servers. What waits for the clock is the helper's own
// step, which knows what it must be right for.
func (s *shared) time() error {
	zone := s.plan.Settings.Timezone
	if zone == "" || strings.HasPrefix(zone, "/") || strings.Contains(zone, "..") {
		return fmt.Errorf("%q is not the name of a time zone", zone)
	}
	s.link("/etc/localtime", "../usr/share/zoneinfo/"+zone)
	switch ntp := s.plan.Settings.NTP; {
	case len(ntp) == 0:
		return nil
	case s.plan.OS.NetworkManager: // Fedora CoreOS, which has chrony
		return s.fill("/etc/chrony.conf", 0o644, "common/chrony.conf", ntp)
	default:
		return s.fill("/etc/systemd/timesyncd.conf.d/50-imgforge.conf", 0o644, "common/timesyncd.conf", strings.Join(ntp, " "))
	}
}

// link adds a symbolic link.
func (s *shared) link(path, target string) {
	s.doc.Links = append(s.doc.Links, payload.Link{Path: path, Target: target})
}
