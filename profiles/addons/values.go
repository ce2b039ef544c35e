package addons

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
)

// values fill the templates.
type values struct {
	*artifact.ClusterAddons
	Minor int
	// APIHost and APIPort are the endpoint, for what must reach the API before
	// kube-proxy has made the kubernetes Service work.
	APIHost, APIPort string
	EndpointURL      string
	// PodsReachEndpoint: it is no loopback address, which in a pod is the pod's own.
	PodsReachEndpoint bool
	Domain            string // of the cluster, checked to be nothing but a domain
	NetConf           string // flannel's net-conf.json
	Facts             Facts
}

// vxlanOverhead is what flannel takes off its backend's MTU for pods: the outer
// IPv4, UDP and VXLAN headers and the inner Ethernet one.
const vxlanOverhead = 50

// vxlanPort is the one that the plan opens.
const vxlanPort = 8472

func newValues(c artifact.ClusterFile, f Facts) (*values, error) {
	endpoint, err := url.Parse(c.EndpointURL)
	if err != nil || endpoint.Scheme != "https" || endpoint.Hostname() == "" || endpoint.Port() == "" {
		return nil, fmt.Errorf("endpointURL %q of cluster.json is not https://host:port", c.EndpointURL)
	}
	minor, err := minorOf(c.Kubernetes)
	if err != nil {
		return nil, err
	}
	net, err := netConf(c.Addons)
	if err != nil {
		return nil, err
	}
	domain, err := domainOf(c.Addons)
	if err != nil {
		return nil, err
	}
	host, err := netip.ParseAddr(endpoint.Hostname())
	return &values{
		ClusterAddons: c.Addons, Minor: minor, EndpointURL: c.EndpointURL, PodsReachEndpoint: err == nil && !host.IsLoopback(),
		APIHost: endpoint.Hostname(), APIPort: endpoint.Port(), Domain: domain, NetConf: net, Facts: f,
	}, nil
}

// domainOf is the cluster's domain. The Corefile has no quotes for it.
func domainOf(a *artifact.ClusterAddons) (string, error) {
	other := strings.Trim(a.ClusterDomain, "abcdefghijklmnopqrstuvwxyz0123456789-.")
	if a.ClusterDomain == "" || other != "" {
		return "", fmt.Errorf("clusterDomain %q of cluster.json is no domain", a.ClusterDomain)
	}
	return a.ClusterDomain, nil
}

// Image is the reference of an image by its name in the plan's table.
func (v *values) Image(name string) (string, error) {
	ref := v.Images[name]
	if ref == "" {
		return "", fmt.Errorf("cluster.json names no image %s", name)
	}
	return ref, nil
}

// netConf is flannel's configuration. Its backend's MTU stands for the network
// that carries the overlay, from which flannel takes the overhead itself: told the
// pods' own, pods would get less. Its rules go to nftables where kube-proxy's do:
// a cluster whose proxyMode is iptables has nodes that may not know nftables.
func netConf(a *artifact.ClusterAddons) (string, error) {
	network, err := netip.ParsePrefix(a.PodCIDR)
	if err != nil {
		return "", fmt.Errorf("podCIDR %q of cluster.json: %w", a.PodCIDR, err)
	}
	type backend struct {
		Type string
		Port int
		MTU  int
	}
	text, err := json.MarshalIndent(struct {
		Network        string
		EnableNFTables bool
		Backend        backend
	}{network.Masked().String(), a.ProxyMode == "nftables", backend{"vxlan", vxlanPort, a.PodMTU + vxlanOverhead}}, "", "  ")
	return string(text) + "\n", err
}
