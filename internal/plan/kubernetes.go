package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/imgforge/imgforge/internal/report"
	"github.com/imgforge/imgforge/internal/spec"
)

// Kubernetes is the version and what depends on it.
type Kubernetes struct {
	Version       string `json:"version"` // without v
	Minor         int    `json:"minor"`   // 34, 35 or 36
	PodCIDR       string `json:"podCIDR"`
	ServiceCIDR   string `json:"serviceCIDR"`
	ClusterDomain string `json:"clusterDomain"`
	ServiceIP     string `json:"serviceIP"` // the first address: kubernetes.default
	DNSIP         string `json:"dnsIP"`     // the tenth
	NodeMask      int    `json:"nodeMask"`  // prefix length of a node's pod network
	ProxyMode     string `json:"proxyMode"`
	MaxPods       int    `json:"maxPods"`
	// Flags are the complete flag lists, sorted by name, of etcd, kube-apiserver,
	// kube-controller-manager, kube-scheduler and kubelet that are the same on
	// every node. A value may hold the words ${NODE}, ${ADDRESS}: the profile fills them per node.
	Flags map[string][]Flag `json:"flags"`
}

// minor is what differs between the Kubernetes minors that imgforge knows. The
// image tags are those of kubeadm's constants.go in the newest patch of the minor;
// all three minors may run the etcd of the newest.
type minor struct {
	number int
	// image tags
	etcd, coreDNS, pause string
	// podInfraImage: the kubelet knows --pod-infra-container-image; 1.35 removed it.
	podInfraImage bool
}

func minors() []minor {
	return []minor{
		{number: 34, etcd: "3.6.8-0", coreDNS: "v1.12.1", pause: "3.10.1", podInfraImage: true},
		{number: 35, etcd: "3.6.8-0", coreDNS: "v1.13.1", pause: "3.10.1"},
		{number: 36, etcd: "3.6.8-0", coreDNS: "v1.14.2", pause: "3.10.2"},
	}
}

func minorOf(number int) (minor, bool) {
	for _, m := range minors() {
		if m.number == number {
			return m, true
		}
	}
	return minor{}, false
}

// kubernetesOf decides the version and the service addresses.
func kubernetesOf(c *spec.Cluster, r *report.Report) Kubernetes {
	k := Kubernetes{
		Version: strings.TrimPrefix(c.Kubernetes.Version, "v"), PodCIDR: c.Kubernetes.PodCIDR, ServiceCIDR: c.Kubernetes.ServiceCIDR,
		ClusterDomain: c.Kubernetes.ClusterDomain, NodeMask: 24, ProxyMode: c.Kubernetes.ProxyMode, MaxPods: c.Kubernetes.MaxPods,
	}
	parts := strings.Split(k.Version, ".")
	if len(parts) == 3 && parts[0] == "1" {
		k.Minor, _ = strconv.Atoi(parts[1]) // zero is refused below
	}
	if _, known := minorOf(k.Minor); !known {
		r.Add(report.Problem{
			Path: "kubernetes.version", Message: fmt.Sprintf("%q is of no minor that this imgforge knows", c.Kubernetes.Version),
			Fix: "write a version of " + strings.Join(Minors(), ", "),
		})
	}
	services, err := netip.ParsePrefix(k.ServiceCIDR)
	if err != nil || !services.Addr().Is4() || services.Bits() > 28 {
		r.Add(report.Problem{Path: "kubernetes.serviceCIDR", Message: fmt.Sprintf("%q is no IPv4 network with a tenth address", k.ServiceCIDR), Fix: "write one, such as 10.96.0.0/16"})
		return k
	}
	k.ServiceIP, k.DNSIP = hostAddress(services, 1).String(), hostAddress(services, 10).String()
	return k
}

// etcdOf decides the founding members.
func etcdOf(c *spec.Cluster, sizes []roleSize, nodes []Node) Etcd {
	e := Etcd{
		Founded: c.Etcd.Founded, RestoreFrom: c.Etcd.RestoreFrom,
		Token: etcdToken(c.Name), DataDisk: c.Etcd.DataDisk, Abandon: c.Etcd.Abandon, Snapshot: snapshotOf(c),
	}
	founders := 0
	for _, s := range sizes {
		if s.name == Master {
			founders = s.founders
		}
	}
	for _, n := range nodes {
		if n.Role == Master && n.Slot <= founders {
			e.Founders = append(e.Founders, n.Name)
		}
	}
	return e
}

// snapshotOf completes the prefix: clusters that share a bucket do not share a folder.
func snapshotOf(c *spec.Cluster) Snapshot {
	s := c.Etcd.Snapshot
	out := Snapshot{Enabled: s.Enabled == nil || *s.Enabled, Every: s.Every, Last: s.Keep.Last, Daily: s.Keep.Daily, Weekly: s.Keep.Weekly}
	if b := s.S3; b != nil {
		out.S3 = &S3{Endpoint: strings.TrimSuffix(b.Endpoint, "/"), Region: b.Region, Bucket: b.Bucket, Prefix: cmp.Or(b.Prefix, c.Name),
			AccessKey: "user/" + b.AccessKeyRef, SecretKey: "user/" + b.SecretKeyRef, CA: b.CA}
	}
	return out
}

// addonsOf reads switches that default to on.
func addonsOf(a spec.Addons) Addons {
	on := func(b *bool) bool { return b == nil || *b }
	return Addons{CNI: a.CNI, KubeProxy: on(a.KubeProxy), CoreDNS: on(a.CoreDNS), MetricsServer: on(a.MetricsServer)}
}

// Minors lists the Kubernetes minors that a plan can be made for: 1.34 and so on.
func Minors() []string {
	var out []string
	for _, m := range minors() {
		out = append(out, fmt.Sprintf("1.%d", m.number))
	}
	return out
}
