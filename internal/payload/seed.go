package payload

import (
	"encoding/json"
	"fmt"
)

// MetaData is the meta-data of a NoCloud drive. A new instance id makes
// cloud-init run everything again. Without a name the host keeps its own.
func MetaData(node, instanceID string) ([]byte, error) {
	return encodeYAML(struct {
		InstanceID string `yaml:"instance-id"`
		Hostname   string `yaml:"local-hostname,omitempty"`
	}{instanceID, node})
}

// OpenStackMetaData is openstack/latest/meta_data.json of a config-2 drive.
func OpenStackMetaData(node, guid string) ([]byte, error) {
	raw, err := json.Marshal(struct {
		UUID     string `json:"uuid"`
		Hostname string `json:"hostname,omitempty"`
		Name     string `json:"name,omitempty"`
	}{guid, node, node})
	if err != nil {
		return nil, fmt.Errorf("encode meta data of %s: %w", node, err)
	}
	return append(raw, '\n'), nil
}

// Interface is the network of a node that has no DHCP. The zero value is every
// Ethernet interface with DHCP.
type Interface struct {
	// MAC, or else Name, finds the interface; with neither it is any Ethernet one.
	Name, MAC string
	// Addresses are in CIDR form.
	Addresses []string
	Gateway   string
	DNS       []string
}

type netplan struct {
	Version   int                 `yaml:"version"`
	Ethernets map[string]ethernet `yaml:"ethernets"`
}

type ethernet struct {
	Match       *netMatch       `yaml:"match,omitempty"`
	DHCP4       bool            `yaml:"dhcp4"`
	Addresses   []string        `yaml:"addresses,omitempty"`
	Routes      []netRoute      `yaml:"routes,omitempty"`
	Nameservers *netNameservers `yaml:"nameservers,omitempty"`
}

type netMatch struct {
	Name string `yaml:"name,omitempty"`
	MAC  string `yaml:"macaddress,omitempty"`
}

type netRoute struct {
	To  string `yaml:"to"`
	Via string `yaml:"via"`
}

type netNameservers struct {
	Addresses []string `yaml:"addresses"`
}

// NetworkConfig is the network-config of a NoCloud drive, version 2. An
// interface with a name is a key of its own, because cloud-init matches names
// only where netplan does it.
func NetworkConfig(i Interface) ([]byte, error) {
	e := ethernet{DHCP4: len(i.Addresses) == 0, Addresses: i.Addresses}
	key := i.Name
	switch {
	case i.MAC != "":
		key, e.Match = "node", &netMatch{MAC: i.MAC}
	case i.Name == "":
		key, e.Match = "node", &netMatch{Name: "e*"}
	}
	if i.Gateway != "" {
		// cloud-init 22 does not know the word default.
		e.Routes = []netRoute{{To: "0.0.0.0/0", Via: i.Gateway}}
	}
	if len(i.DNS) > 0 {
		e.Nameservers = &netNameservers{Addresses: i.DNS}
	}
	return encodeYAML(netplan{Version: 2, Ethernets: map[string]ethernet{key: e}})
}
