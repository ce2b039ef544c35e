package sysext

import "strings"

// labelOf is the SELinux label of a path where the policy of a family is enforced, or
// can be: a file without one would be nobody's, and not run. Elsewhere it is "".
// Types are those that the policies give the same paths themselves; kubelet is bin_t
// like any program, since not every policy in use knows a type of its own for it.
func labelOf(family, path string) string {
	unit := ""
	switch family {
	case "fcos":
		unit = "systemd_unit_file_t"
	case "flatcar":
		unit = "systemd_unit_t"
	default:
		return ""
	}
	kind := "usr_t"
	switch {
	case family == "fcos" && (strings.HasPrefix(path, "usr/bin/containerd") || path == "usr/bin/runc"):
		kind = "container_runtime_exec_t" // or containers would run as what starts them
	case strings.HasPrefix(path, loaderFolder+"/ld-"):
		kind = "ld_so_t"
	case strings.HasPrefix(path, "usr/lib/systemd/system"):
		kind = unit
	case path == "usr/bin" || strings.HasPrefix(path, "usr/bin/"), strings.HasPrefix(path, CNIFolder+"/"), strings.HasPrefix(path, programFolder+"/"):
		kind = "bin_t"
	case path == "usr/lib" || strings.HasPrefix(path, "usr/lib/"):
		kind = "lib_t"
	}
	return "system_u:object_r:" + kind + ":s0\x00"
}
