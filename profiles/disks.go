package profiles

import (
	"fmt"
	"slices"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
)

// A volume is a disk of its own under one folder. Which device it is may differ
// between the nodes of a role, so it is formatted and mounted after the claim and
// not by Ignition.
type volume struct{ name, folder, mode string }

// unit is the volume's own instance of the unit that formats and mounts. A unit
// of type mount would not do: it waits for its device before it looks whether
// this node has one.
func (v volume) unit() string { return "imgforge-disk@" + v.name + ".service" }

// volumes are those of a role: one that any of its slots has a device for.
func (s *scope) volumes() []volume {
	var out []volume
	for _, v := range []volume{{"data", "/var/lib/data", "0755"}, {"etcd", etcdDataDir, "0700"}} {
		if slices.ContainsFunc(s.plan.NodesOf(s.role.Name), func(n plan.Node) bool { return s.device(v, n) != "" }) {
			out = append(out, v)
		}
	}
	return out
}

// device is the device of a node's volume, "" for none.
func (s *scope) device(v volume, n plan.Node) string {
	switch {
	case v.name == "data":
		return n.DataDisk
	case s.isMaster():
		return s.plan.Etcd.DataDisk
	}
	return ""
}

// diskUnits mount the role's volumes, or those of the folders given. The kubelet
// waits for them, so that no pod ever writes below a folder whose disk is not mounted.
func (s *scope) diskUnits(folders ...string) []string {
	var out []string
	for _, v := range s.volumes() {
		if len(folders) == 0 || slices.Contains(folders, v.folder) {
			out = append(out, v.unit())
		}
	}
	return out
}

// sharedDisks brings the units of the role's volumes; a node without the device
// skips them.
func sharedDisks(s *shared) error {
	units := s.diskUnits()
	if len(units) == 0 {
		return nil
	}
	return s.butane("common/disks", map[string]any{"Claim": unitClaim, "Units": units})
}

// ownDisks names the node's devices.
func ownDisks(o *own) error {
	for _, v := range o.volumes() {
		if device := o.device(v, o.node); device != "" {
			text := fmt.Sprintf("DEVICE=%s\nFOLDER=%s\nMODE=%s\n", systemdWord(device), v.folder, v.mode)
			o.file(artifact.File{Path: "/etc/imgforge/disks/" + v.name, Mode: 0o644, Contents: []byte(text)})
		}
	}
	return nil
}
