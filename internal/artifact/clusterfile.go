package artifact

import (
	"fmt"
	"os"
	"path/filepath"
)

// ClusterFile is /etc/imgforge/cluster.json: what the node helper needs of the
// plan. It is the same on every node of a role and holds no secret.
type ClusterFile struct {
	Cluster    string `json:"cluster"`
	Role       string `json:"role"` // of the nodes that carry this file
	Kubernetes string `json:"kubernetes"`
	// EndpointURL is where kubeconfigs point: https://host:port.
	EndpointURL string `json:"endpointURL"`
	// APIServerPort is where each master's own API server listens.
	APIServerPort int           `json:"apiserverPort"`
	Etcd          ClusterEtcd   `json:"etcd"`
	Nodes         []ClusterNode `json:"nodes"`
	// Addons is what masters apply; the other roles do not carry it.
	Addons *ClusterAddons `json:"addons,omitempty"`
	// Timezone is that of the windows.
	Timezone string `json:"timezone,omitempty"`
	// Provider is where the machine runs, for what only its metadata service knows.
	Provider string `json:"provider"`
}

// ClusterEtcd is what decides the membership.
type ClusterEtcd struct {
	Token       string   `json:"token"`
	Founded     bool     `json:"founded,omitempty"`
	RestoreFrom string   `json:"restoreFrom,omitempty"`
	Founders    []string `json:"founders"` // node names
}

// ClusterAddons is what masters apply, and what the add-ons need to know.
type ClusterAddons struct {
	CNI           string `json:"cni"` // flannel | none
	KubeProxy     bool   `json:"kubeProxy"`
	CoreDNS       bool   `json:"coreDNS"`
	MetricsServer bool   `json:"metricsServer"`

	PodCIDR       string `json:"podCIDR"`
	ClusterDomain string `json:"clusterDomain"`
	DNSIP         string `json:"dnsIP"`
	ProxyMode     string `json:"proxyMode"` // iptables | nftables | ipvs
	// PodMTU is the largest packet between pods, in bytes: inside VXLAN over the mesh.
	PodMTU int `json:"podMTU"`
	// Interface carries the overlay: the mesh's; empty where nodes have none.
	Interface string `json:"interface,omitempty"`
	// Images are the references of the plan's table, by its names, of the add-ons
	// that are on.
	Images map[string]string `json:"images,omitempty"`
}

// ClusterNode is one slot of the cluster, in the order of the plan.
type ClusterNode struct {
	Name    string            `json:"name"`
	Role    string            `json:"role"`
	Slot    int               `json:"slot"`
	Address string            `json:"address"`
	Labels  map[string]string `json:"labels,omitempty"`
	Window  *ClusterWindow    `json:"window,omitempty"`
}

// ClusterWindow is a node's own part of its role's reboot window.
type ClusterWindow struct {
	Start   string   `json:"start"` // HH:MM
	Minutes int      `json:"minutes"`
	Days    []string `json:"days,omitempty"`
}

// EncodeClusterFile is the text of cluster.json.
func EncodeClusterFile(c ClusterFile) ([]byte, error) { return indentJSON(c) }

// ParseClusterFile reads cluster.json strictly.
func ParseClusterFile(data []byte) (ClusterFile, error) {
	var c ClusterFile
	if err := strictJSON(data, &c); err != nil {
		return ClusterFile{}, fmt.Errorf("parse cluster.json: %w", err)
	}
	return c, nil
}

// ReadClusterFile is the cluster.json below root, "/" on a node.
func ReadClusterFile(root string) (ClusterFile, error) {
	data, err := os.ReadFile(filepath.Join(root, ClusterFilePath))
	if err != nil {
		return ClusterFile{}, err
	}
	return ParseClusterFile(data)
}
