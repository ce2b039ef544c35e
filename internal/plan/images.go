package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Images is the one table of container images: the lock and the lab replace
// single entries by reference.
type Images struct {
	APIServer         string `json:"kube-apiserver"`
	ControllerManager string `json:"kube-controller-manager"`
	Scheduler         string `json:"kube-scheduler"`
	KubeProxy         string `json:"kube-proxy"`
	Etcd              string `json:"etcd"`
	CoreDNS           string `json:"coredns"`
	Pause             string `json:"pause"`
	HAProxy           string `json:"haproxy"`
	Keepalived        string `json:"keepalived"`
	Flannel           string `json:"flannel"`
	FlannelCNI        string `json:"flannel-cni-plugin"`
	MetricsServer     string `json:"metrics-server"`
}

// imagesOf is the one table of container images of a cluster.
func imagesOf(k Kubernetes) Images {
	m, ok := minorOf(k.Minor)
	if !ok {
		return Images{} // reported by kubernetesOf
	}
	tag := ":v" + k.Version
	return Images{
		APIServer:         "registry.k8s.io/kube-apiserver" + tag,
		ControllerManager: "registry.k8s.io/kube-controller-manager" + tag,
		Scheduler:         "registry.k8s.io/kube-scheduler" + tag,
		KubeProxy:         "registry.k8s.io/kube-proxy" + tag,
		Etcd:              "registry.k8s.io/etcd:" + m.etcd,
		CoreDNS:           "registry.k8s.io/coredns/coredns:" + m.coreDNS,
		Pause:             "registry.k8s.io/pause:" + m.pause,
		// 3.2 is the long-term branch, maintained until 2030.
		HAProxy: "docker.io/library/haproxy:3.2.22",
		// Made by imgforge from Debian 12's keepalived, whose version it has.
		Keepalived:    "imgforge/keepalived:2.2.7",
		Flannel:       "ghcr.io/flannel-io/flannel:v0.28.9",
		FlannelCNI:    "ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3",
		MetricsServer: "registry.k8s.io/metrics-server/metrics-server:v0.8.1",
	}
}

// entries maps the names of the table, as its JSON has them, to their fields.
func (i *Images) entries() map[string]*string {
	return map[string]*string{
		"kube-apiserver": &i.APIServer, "kube-controller-manager": &i.ControllerManager, "kube-scheduler": &i.Scheduler,
		"kube-proxy": &i.KubeProxy, "etcd": &i.Etcd, "coredns": &i.CoreDNS, "pause": &i.Pause, "haproxy": &i.HAProxy,
		"keepalived": &i.Keepalived, "flannel": &i.Flannel, "flannel-cni-plugin": &i.FlannelCNI, "metrics-server": &i.MetricsServer,
	}
}

// Override is the table with entries, named as in its JSON, replaced. An unknown
// name or an empty reference is an error, and i itself never changes.
func (i Images) Override(refs map[string]string) (Images, error) {
	table := i.entries()
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		field, ok := table[name]
		if !ok {
			return Images{}, fmt.Errorf("no container image is called %q: use one of %s", name, strings.Join(slices.Sorted(maps.Keys(table)), ", "))
		}
		if refs[name] == "" {
			return Images{}, fmt.Errorf("container image %q: the reference is empty: write name:tag", name)
		}
		*field = refs[name]
	}
	return i, nil
}
