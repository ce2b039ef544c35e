package plan

// Port is one listener that a role opens on other than loopback addresses, and
// who may reach it: the firewall is made from this list alone.
type Port struct {
	Role  string `json:"role"`  // master | proxy | worker
	Proto string `json:"proto"` // tcp | udp | vrrp (IP protocol 112, which has no port)
	Port  int    `json:"port,omitempty"`
	To    int    `json:"to,omitempty"` // last port of a range
	// From is who may send: world (anyone), underlay (anyone, arriving outside the
	// mesh), mesh (every node, or its address when mesh is none), masters, proxies
	// (their addresses in Network.CIDR, reserved slots included), pods
	// (Kubernetes.PodCIDR), access (Endpoint.Access).
	From string `json:"from"`
	For  string `json:"for"` // what listens there
}

// Ports that are fixed by the components that listen there.
const (
	etcdClientPort = 2379
	etcdPeerPort   = 2380
	etcdAskPort    = 2383
	kubeletPort    = 10250
	statusPort     = 9440
	vxlanPort      = 8472 // Linux's own VXLAN port, flannel's default
)

// portsOf lists who may reach what, by role. What is not here is closed.
func portsOf(p *Plan) []Port {
	var out []Port
	for _, r := range p.Roles {
		switch r.Name {
		case Master:
			out = append(out, masterPorts(p)...)
		case Proxy:
			out = append(out, proxyPorts(p)...)
		case Worker:
			out = append(out, workerPorts(p)...)
		}
		out = append(out, everyNodePorts(p, r.Name)...)
	}
	return out
}

func masterPorts(p *Plan) []Port {
	out := []Port{
		// haproxy runs on other nodes too, and pods arrive here from the Service.
		{Role: Master, Proto: "tcp", Port: apiserverPort, From: "mesh", For: "kube-apiserver, for haproxy and the kubernetes Service"},
		{Role: Master, Proto: "tcp", Port: apiserverPort, From: "pods", For: "kube-apiserver, for pods on this node"},
		{Role: Master, Proto: "tcp", Port: etcdClientPort, From: "masters", For: "etcd clients"},
		{Role: Master, Proto: "tcp", Port: etcdPeerPort, From: "masters", For: "etcd peers"},
		{Role: Master, Proto: "tcp", Port: etcdAskPort, From: "masters", For: "imgforge-node, what each knows of etcd"},
	}
	if p.Endpoint.Mode == "vip" {
		out = append(out,
			Port{Role: Master, Proto: "tcp", Port: p.Endpoint.Port, From: "mesh", For: "haproxy, the API endpoint"},
			Port{Role: Master, Proto: "tcp", Port: p.Endpoint.Port, From: "pods", For: "haproxy, for pods on this node"},
			Port{Role: Master, Proto: "vrrp", From: "masters", For: "keepalived"})
	}
	if _, proxies := p.Role(Proxy); len(p.Endpoint.Access) > 0 && !proxies {
		out = append(out, Port{Role: Master, Proto: "tcp", Port: p.Endpoint.Port, From: "access", For: "haproxy, the API from outside"})
	}
	return out
}

func proxyPorts(p *Plan) []Port {
	out := []Port{
		{Role: Proxy, Proto: "tcp", Port: 80, From: "world", For: "haproxy, HTTP for ingress"},
		{Role: Proxy, Proto: "tcp", Port: 443, From: "world", For: "haproxy, HTTPS for ingress"},
	}
	if len(p.Endpoint.Access) > 0 {
		out = append(out, Port{Role: Proxy, Proto: "tcp", Port: p.Endpoint.Port, From: "access", For: "haproxy, the API from outside"})
	}
	if p.Network.VRRPIDProxy != 0 {
		out = append(out, Port{Role: Proxy, Proto: "vrrp", From: "proxies", For: "keepalived"})
	}
	return out
}

// workerPorts open the ingress to the proxies alone; without proxies it stays closed.
func workerPorts(p *Plan) []Port {
	if _, ok := p.Role(Proxy); !ok {
		return nil
	}
	return []Port{
		{Role: Worker, Proto: "tcp", Port: p.Ingress.HTTP, From: "proxies", For: "ingress NodePort, HTTP"},
		{Role: Worker, Proto: "tcp", Port: p.Ingress.HTTPS, From: "proxies", For: "ingress NodePort, HTTPS"},
	}
}

func everyNodePorts(p *Plan, role string) []Port {
	out := []Port{
		// metrics-server is a pod: seen from another node it has its node's address.
		{Role: role, Proto: "tcp", Port: kubeletPort, From: "mesh", For: "kubelet"},
		{Role: role, Proto: "tcp", Port: kubeletPort, From: "pods", For: "kubelet, for metrics-server on this node"},
		{Role: role, Proto: "tcp", Port: statusPort, From: "mesh", For: "imgforge-node status"},
	}
	if p.Addons.CNI == "flannel" {
		out = append(out, Port{Role: role, Proto: "udp", Port: vxlanPort, From: "mesh", For: "flannel VXLAN"})
	}
	switch p.Network.Mesh {
	case "tinc": // meta-connections over TCP, packets over UDP
		out = append(out,
			Port{Role: role, Proto: "tcp", Port: p.Network.Port, From: "underlay", For: "tinc"},
			Port{Role: role, Proto: "udp", Port: p.Network.Port, From: "underlay", For: "tinc"})
	case "wireguard":
		out = append(out, Port{Role: role, Proto: "udp", Port: p.Network.Port, From: "underlay", For: "WireGuard"})
	}
	return out
}
