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
	// KeepUserData leaves user-data there, where the helper could delete it.
	KeepUserData bool `json:"keepUserData,omitempty"`
}

// ClusterEtcd is what decides the membership.
type ClusterEtcd struct {
	Token       string   `json:"token"`
	Founded     bool     `json:"founded,omitempty"`
	RestoreFrom string   `json:"restoreFrom,omitempty"`
	Founders    []string `json:"founders"` // node names
	// Masters, with RestoreFrom, are all that exist: none of them may have data.
	Masters []string `json:"masters,omitempty"`
	// Abandon, with RestoreFrom, is the id in hex of the cluster whose data may be moved aside.
	Abandon string `json:"abandon,omitempty"`
	// Recipients are age's, of people who can open a snapshot without the cluster.
	Recipients []string `json:"recipients,omitempty"`
	// Snapshot is nil where [DefaultSnapshot] holds.
	Snapshot *ClusterSnapshot `json:"snapshot,omitempty"`
}

// ClusterSnapshot is when snapshots of etcd are taken, and which stay where.
type ClusterSnapshot struct {
	Off    bool   `json:"off,omitempty"`
	Every  string `json:"every"` // as Go writes durations
	Last   int    `json:"last"`
	Daily  int    `json:"daily"`
	Weekly int    `json:"weekly"`
	S3     *S3    `json:"s3,omitempty"`
}

// DefaultSnapshot is what a cluster file that says nothing of snapshots means. It is
// here and not in payloads, which are short of space.
func DefaultSnapshot() ClusterSnapshot { return ClusterSnapshot{Every: "1h", Last: 24, Daily: 7} }

// S3 is a bucket; its keys lie in [S3KeysPath].
type S3 struct {
	Endpoint string `json:"endpoint"` // URL without the bucket
	Region   string `json:"region"`
	Bucket   string `json:"bucket"`
	Prefix   string `json:"prefix"`
	CA       string `json:"ca,omitempty"` // PEM
}

// S3KeysPath is a file of [S3Keys], 0600, on masters whose snapshots go to a bucket.
const S3KeysPath = "/etc/imgforge/etcd/s3.json"

// S3Keys open a bucket.
type S3Keys struct {
	AccessKey string `json:"accessKey"`
	SecretKey string `json:"secretKey"`
}

// EncodeS3Keys is the text of [S3KeysPath].
func EncodeS3Keys(k S3Keys) ([]byte, error) { return indentJSON(k) }

// ParseS3Keys reads [S3KeysPath] strictly. Its errors hold nothing of the keys.
func ParseS3Keys(data []byte) (S3Keys, error) {
	var k S3Keys
	if strictJSON(data, &k) != nil || k.AccessKey == "" || k.SecretKey == "" {
		return S3Keys{}, fmt.Errorf("%s does not hold two keys", S3KeysPath)
	}
	return k, nil
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
