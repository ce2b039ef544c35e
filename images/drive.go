package images

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/imgforge/imgforge/internal/artifact"
)

// Labels by which the readers find their drive.
const (
	ConfigDriveLabel = "config-2"
	CIDataLabel      = "cidata"
)

// ConfigDrive writes the drive that Ignition and cloud-init read on OpenStack and
// its likes. instanceID must stay the same for as long as the node does: cloud-init
// runs its first-boot steps again when it changes.
func ConfigDrive(w io.Writer, userData []byte, node, instanceID string) error {
	// cloud-init takes the instance id from uuid; name and hostname name the node.
	meta, err := json.MarshalIndent(struct {
		UUID     string `json:"uuid"`
		Hostname string `json:"hostname"`
		Name     string `json:"name"`
	}{instanceID, node, node}, "", "  ")
	if err != nil {
		return fmt.Errorf("write config drive of %s: %w", node, err)
	}
	return WriteISO(w, ConfigDriveLabel, []artifact.File{
		drive("openstack/latest/user_data", userData),
		drive("openstack/latest/meta_data.json", append(meta, '\n')),
	})
}

// DefaultNetwork is the network-config of a node whose addresses come from DHCP:
// every Ethernet interface asks for one.
const DefaultNetwork = `version: 2
ethernets:
  all:
    match:
      name: "e*"
    dhcp4: true
`

// CIData writes the drive that cloud-init's NoCloud source reads, and Ignition on
// Proxmox VE. networkConfig is in cloud-init's own format; empty means
// [DefaultNetwork]. For instanceID see [ConfigDrive].
func CIData(w io.Writer, userData []byte, node, instanceID string, networkConfig []byte) error {
	if len(networkConfig) == 0 {
		networkConfig = []byte(DefaultNetwork)
	}
	// JSON strings are YAML strings.
	id, err := json.Marshal(instanceID)
	if err != nil {
		return fmt.Errorf("write cidata drive of %s: %w", node, err)
	}
	host, err := json.Marshal(node)
	if err != nil {
		return fmt.Errorf("write cidata drive of %s: %w", node, err)
	}
	return WriteISO(w, CIDataLabel, []artifact.File{
		drive("user-data", userData),
		drive("meta-data", fmt.Appendf(nil, "instance-id: %s\nlocal-hostname: %s\n", id, host)),
		drive("network-config", networkConfig),
	})
}

// drive is a file that root alone may read once the drive is mounted: user-data
// holds keys.
func drive(path string, contents []byte) artifact.File {
	return artifact.File{Path: path, Mode: 0o600, Contents: contents, Secret: true, Node: true}
}
