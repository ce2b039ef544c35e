package profiles

import (
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
)

// sharedCluster is what imgforge-node needs to know of the cluster. Masters
// approve, label and admit nodes, so they know all; the others know the masters,
// so that a payload does not grow with the cluster. Nothing in it depends on which
// of the prepared slots are filled today.
func sharedCluster(s *shared) error {
	p := s.plan
	c := artifact.ClusterFile{
		Cluster: p.Cluster, Role: s.role.Name, Kubernetes: p.Kubernetes.Version,
		EndpointURL: p.Endpoint.URL, APIServerPort: p.Endpoint.APIServerPort, Timezone: p.Settings.Timezone, Provider: p.Platform.Provider,
		KeepUserData: p.Platform.Scaleway != nil && p.Platform.Scaleway.KeepUserData,
		Etcd:         artifact.ClusterEtcd{Token: p.Etcd.Token, Founded: p.Etcd.Founded, RestoreFrom: p.Etcd.RestoreFrom, Founders: p.Etcd.Founders},
	}
	if s.isMaster() {
		sharedSnapshots(s, &c.Etcd)
	}
	for _, n := range p.Nodes {
		if s.isMaster() || n.Role == "master" {
			c.Nodes = append(c.Nodes, clusterNode(n, s.isMaster()))
		}
	}
	if s.isMaster() {
		c.Addons = clusterAddons(p)
	}
	text, err := artifact.EncodeClusterFile(c)
	if err != nil {
		return err
	}
	s.file(artifact.File{Path: artifact.ClusterFilePath, Mode: 0o644, Contents: text})
	return nil
}

// clusterAddons are the parameters of what masters apply. The manifests themselves
// are the helper's: they would not fit into a payload.
func clusterAddons(p *plan.Plan) *artifact.ClusterAddons {
	a, k := p.Addons, p.Kubernetes
	out := &artifact.ClusterAddons{
		CNI: a.CNI, KubeProxy: a.KubeProxy, CoreDNS: a.CoreDNS, MetricsServer: a.MetricsServer,
		PodCIDR: k.PodCIDR, ClusterDomain: k.ClusterDomain, DNSIP: k.DNSIP, ProxyMode: k.ProxyMode,
		PodMTU: p.Network.MTU.Pod, Interface: p.Network.Interface, Images: map[string]string{},
	}
	for name, image := range map[string]struct {
		on  bool
		ref string
	}{
		"flannel":            {a.CNI == "flannel", p.Images.Flannel},
		"flannel-cni-plugin": {a.CNI == "flannel", p.Images.FlannelCNI},
		"kube-proxy":         {a.KubeProxy, p.Images.KubeProxy},
		"coredns":            {a.CoreDNS, p.Images.CoreDNS},
		"metrics-server":     {a.MetricsServer, p.Images.MetricsServer},
	} {
		if image.on {
			out.Images[name] = image.ref
		}
	}
	return out
}

// clusterNode is one slot; the labels and the window only where they are acted upon.
func clusterNode(n plan.Node, full bool) artifact.ClusterNode {
	c := artifact.ClusterNode{Name: n.Name, Role: n.Role, Slot: n.Slot, Address: n.Address}
	if !full {
		return c
	}
	c.Labels = map[string]string{roleLabel(n.Role): ""}
	if w := n.Window; w != nil {
		c.Window = &artifact.ClusterWindow{Start: w.Start, Minutes: w.Minutes, Days: w.Days}
	}
	return c
}

// roleLabel is the label by which kubectl shows a node's role. A kubelet may not
// give it to itself, so a master does.
func roleLabel(role string) string {
	if role == "master" {
		role = "control-plane"
	}
	return "node-role.kubernetes.io/" + role
}

// ownCluster tells a node who it is.
func ownCluster(o *own) error {
	p, n := o.plan, o.node
	file := artifact.NodeFile{
		Cluster: p.Cluster, Node: n.Name, Role: n.Role, Slot: n.Slot, Address: n.Address,
		Endpoint: artifact.NodeEndpoint{Mode: p.Endpoint.Mode, Address: p.Endpoint.Address, Port: p.Endpoint.Port},
		VIP:      vip(p, o.role, n),
	}
	if o.isMaster() {
		file.APIServerPort = p.Endpoint.APIServerPort
	}
	text, err := artifact.EncodeNodeFile(file)
	if err != nil {
		return err
	}
	o.file(artifact.File{Path: artifact.NodeFilePath, Mode: 0o600, Contents: text})
	return nil
}

// vip is the floating address that a node may hold: the API's on masters, the
// flexible public one on proxies.
func vip(p *plan.Plan, r plan.Role, n plan.Node) *artifact.NodeVIP {
	v := &artifact.NodeVIP{Priority: n.VRRPPriority}
	switch {
	case n.Role == "master" && p.Endpoint.Mode == "vip":
		v.Address, v.PrefixLen, v.Interface, v.RouterID = p.Endpoint.Address, p.Network.PrefixLen, p.Network.Interface, p.Network.VRRPID
		if p.Network.Mesh == "none" && n.Interface != "" {
			v.Interface = n.Interface
		}
	case n.Role == "proxy" && r.PublicIP != "":
		v.Address, v.PrefixLen, v.Interface, v.RouterID = r.PublicIP, 32, n.Interface, p.Network.VRRPIDProxy
	default:
		return nil
	}
	return v
}
