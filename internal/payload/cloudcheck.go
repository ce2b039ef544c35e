package payload

import (
	"fmt"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_5/types"
)

// unsupported lists the fields of a config that cloud-init cannot express.
// Files, directories and links are checked where they are converted.
func unsupported(c types.Config) []Problem {
	var out []Problem
	add := func(present bool, format string, args ...any) {
		if present {
			out = append(out, Problem{
				Path: fmt.Sprintf(format, args...), Message: "cloud-init cannot express this",
				Fix: "leave it out, or choose an os.family that reads Ignition",
			})
		}
	}
	for i, d := range c.Storage.Disks {
		add(true, "storage.disks[%d] (%s)", i, d.Device)
	}
	for i, r := range c.Storage.Raid {
		add(true, "storage.raid[%d] (%s)", i, r.Name)
	}
	for i, l := range c.Storage.Luks {
		add(true, "storage.luks[%d] (%s)", i, l.Name)
	}
	for i, f := range c.Storage.Filesystems {
		add(!mkfsKnown(value(f.Format)), "storage.filesystems[%d].format (%s)", i, value(f.Format))
		add(odd(f.Device), "storage.filesystems[%d].device", i)
		add(odd(value(f.Path)), "storage.filesystems[%d].path", i)
	}
	add(len(c.KernelArguments.ShouldExist) > 0, "kernelArguments.shouldExist")
	add(len(c.KernelArguments.ShouldNotExist) > 0, "kernelArguments.shouldNotExist")
	add(len(c.Ignition.Security.TLS.CertificateAuthorities) > 0, "ignition.security.tls.certificateAuthorities")
	add(c.Ignition.Timeouts.HTTPResponseHeaders != nil, "ignition.timeouts.httpResponseHeaders")
	add(c.Ignition.Timeouts.HTTPTotal != nil, "ignition.timeouts.httpTotal")
	for i, u := range c.Passwd.Users {
		add(u.ShouldExist != nil && !*u.ShouldExist, "passwd.users[%d].shouldExist (%s)", i, u.Name)
		add(odd(u.Name), "passwd.users[%d].name", i)
	}
	for i, g := range c.Passwd.Groups {
		add(g.ShouldExist != nil && !*g.ShouldExist, "passwd.groups[%d].shouldExist (%s)", i, g.Name)
		add(g.Gid != nil, "passwd.groups[%d].gid (%s)", i, g.Name)
		add(g.PasswordHash != nil, "passwd.groups[%d].passwordHash (%s)", i, g.Name)
		add(value(g.System), "passwd.groups[%d].system (%s)", i, g.Name)
		add(odd(g.Name), "passwd.groups[%d].name", i)
	}
	for i, u := range c.Systemd.Units {
		add(odd(u.Name) || strings.Contains(u.Name, "/"), "systemd.units[%d].name", i)
		for j, d := range u.Dropins {
			add(odd(d.Name) || strings.Contains(d.Name, "/"), "systemd.units[%d].dropins[%d].name", i, j)
		}
	}
	return out
}

// odd tells of control characters, which no name or path of ours has and which
// scripts and YAML would carry badly.
func odd(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return true
		}
	}
	return false
}
