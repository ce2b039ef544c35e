package profiles

import (
	"fmt"

	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
)

// A volume is a disk of its own under one folder. It is formatted when it is
// empty and never wiped; it is found by its label, so that the order in which a
// cloud attaches disks does not matter. Labels hold no character that systemd escapes.
type volume struct {
	device, label, path, unit, description string
}

func dataVolume(device string) volume {
	return volume{device, "imgforge_data", "/var/lib/data", "var-lib-data.mount", "Data disk"}
}

func etcdVolume(device string) volume {
	return volume{device, "imgforge_etcd", etcdDataDir, "var-lib-etcd.mount", "Disk of etcd's data"}
}

// volumes are those of a role, whose nodes must agree: a disk is formatted
// before a node knows who it is, and units are the same on all nodes of a role.
func (s *scope) volumes(nodes []plan.Node) ([]volume, error) {
	var out []volume
	if s.isMaster() && s.plan.Etcd.DataDisk != "" {
		out = append(out, etcdVolume(s.plan.Etcd.DataDisk))
	}
	for _, n := range nodes {
		if first := nodes[0]; n.DataDisk != first.DataDisk {
			return nil, fmt.Errorf("the data disk of %s is %s and that of %s is %s, but a role payload formats its disk before a node knows which it is: "+
				"give all nodes of roles.%s the same dataDisk, or render each with --node", first.Name, orNone(first.DataDisk), n.Name, orNone(n.DataDisk), n.Role)
		}
	}
	if len(nodes) > 0 && nodes[0].DataDisk != "" {
		out = append(out, dataVolume(nodes[0].DataDisk))
	}
	return out, nil
}

func orNone(device string) string {
	if device == "" {
		return "none"
	}
	return device
}

// mountPoints are the folders that the kubelet waits for.
func (s *shared) mountPoints() []string {
	var out []string
	for _, v := range s.disks {
		out = append(out, v.path)
	}
	return out
}

// sharedDisks formats and mounts the role's own disks.
func sharedDisks(s *shared) error {
	for _, v := range s.disks {
		text, err := render("common/disk.mount", map[string]string{
			"Description": v.description, "Label": v.label, "Path": v.path, "Kubelet": unitKubelet,
		})
		if err != nil {
			return err
		}
		s.doc.Filesystems = append(s.doc.Filesystems, payload.Filesystem{Device: v.device, Format: "ext4", Label: v.label, Path: v.path})
		s.unit(payload.Unit{Name: v.unit, Enabled: new(true), Contents: text})
	}
	return nil
}
