package spec

import (
	"fmt"
	"slices"
)

// endpoint checks the floating address, and whether anything can float at all.
func (k *check) endpoint() {
	e := k.Endpoint
	k.repeats("endpoint.sans", e.SANs)
	k.repeats("endpoint.access", e.Access)
	if e.Mode == "local" && k.src.has("endpoint.address") {
		fix := "remove it, or write endpoint.mode: vip"
		if k.Network.Mesh == "wireguard" {
			fix = "remove it: WireGuard cannot carry a floating address"
		}
		k.err("endpoint.address", "there is no floating address with endpoint.mode local", fix)
	}
	if e.Mode != "vip" {
		return
	}
	if k.Network.Mesh == "wireguard" {
		k.err("endpoint.mode", "WireGuard ties every address to one peer, so a floating address cannot move", "write endpoint.mode: local, or network.mesh: tinc")
		return
	}
	k.floating()
	k.vip()
}

// vip checks the place of the floating address.
func (k *check) vip() {
	vip, ok := address(k.Endpoint.Address)
	net, ok2 := prefix(k.Network.CIDR)
	if !ok || !ok2 {
		return
	}
	last := lastHost(net)
	switch {
	case !net.Contains(vip):
		k.err("endpoint.address", fmt.Sprintf("%s lies outside network.cidr %s, so no node can hold it", vip, net), fmt.Sprintf("write an address inside it that no node has, as in %s", last))
	case vip == net.Addr():
		k.err("endpoint.address", fmt.Sprintf("%s is the network address of %s", vip, net), fmt.Sprintf("write %s", last))
	case vip == broadcast(net):
		k.err("endpoint.address", fmt.Sprintf("%s is the broadcast address of %s", vip, net), fmt.Sprintf("write %s", last))
	case k.Endpoint.Address == k.Network.Gateway:
		k.err("endpoint.address", fmt.Sprintf("%s is network.gateway as well", vip), "write an address that nothing has")
	}
	for _, r := range k.roles() {
		for i, n := range r.Nodes {
			if n.Address == k.Endpoint.Address {
				k.err("endpoint.address", fmt.Sprintf("%s is the address of a node (%s.address)", vip, item(r.path+".nodes", i)), "write an address that no node has")
			}
		}
	}
}

// floating checks that the network below keepalived lets an address move.
func (k *check) floating() {
	if k.Network.Mesh != "none" {
		return
	}
	switch p := k.Platform.Provider; p {
	case "ec2", "hetzner":
		k.err(k.set("endpoint.mode", "network.mesh"), "the network of "+p+" routes every address to one server, so a floating address cannot move", "write endpoint.mode: local, or network.mesh: tinc")
	case "scaleway", "openstack", "exoscale":
		k.warn(k.set("endpoint.mode", "network.mesh"), p+" may drop traffic of an address that it did not give out", "allow endpoint.address on the masters' ports, or write network.mesh: tinc")
	}
	if k.Network.Interface != "" {
		return
	}
	for i := range clamp(k.Roles.Master.Count, 0, maxMasters) {
		if nodes := k.Roles.Master.Nodes; i >= len(nodes) || nodes[i].Interface == "" {
			k.err("network.interface", "keepalived must know which interface carries endpoint.address", "write network.interface, as in eth0, or the interface of every master")
			return
		}
	}
}

// repeats refuses the same entry twice in a list.
func (k *check) repeats(path string, values []string) {
	for i, v := range values {
		if first := slices.Index(values, v); v != "" && first < i {
			k.err(item(path, i), quote(v)+" is listed twice, first as "+item(path, first), "remove one of them")
		}
	}
}

// listener is a port that something on the nodes already has.
type listener struct {
	port  int
	what  string
	tcp   bool
	proxy bool // on proxies only
}

func listeners() []listener {
	return []listener{
		{port: 8443, what: "kube-apiserver itself", tcp: true}, {port: 2379, what: "etcd clients", tcp: true},
		{port: 2380, what: "etcd peers", tcp: true}, {port: 2381, what: "etcd metrics", tcp: true},
		{port: 2383, what: "what masters ask each other about etcd", tcp: true},
		{port: 10248, what: "the kubelet's health", tcp: true}, {port: 10249, what: "kube-proxy's metrics", tcp: true},
		{port: 10250, what: "the kubelet", tcp: true}, {port: 10256, what: "kube-proxy's health", tcp: true},
		{port: 10257, what: "kube-controller-manager", tcp: true}, {port: 10259, what: "kube-scheduler", tcp: true},
		{port: 9440, what: "the status page", tcp: true}, {port: 53, what: "DNS", tcp: true},
		{port: 80, what: "ingress on proxies", tcp: true, proxy: true}, {port: 443, what: "ingress on proxies", tcp: true, proxy: true},
		{port: 53, what: "DNS"}, {port: 67, what: "DHCP"}, {port: 68, what: "DHCP"}, {port: 123, what: "time"}, {port: 8472, what: "the pod network's VXLAN"},
	}
}

// Kubernetes gives out these ports on every node unless told otherwise.
const nodePortLow, nodePortHigh = 30000, 32767

// ports checks the ports that the file chooses against those that are taken.
func (k *check) ports() {
	k.port("endpoint.port", k.Endpoint.Port, true, "6443")
	switch k.Network.Mesh {
	case "tinc": // packets over UDP, meta-connections over TCP
		k.port("network.port", k.Network.Port, true, "655")
		k.port("network.port", k.Network.Port, false, "655")
		if k.Network.Port == k.Endpoint.Port {
			k.err(k.set("network.port", "endpoint.port"), fmt.Sprintf("%d is the port of both endpoint and mesh", k.Network.Port), "write endpoint.port: 6443 and network.port: 655")
		}
	case "wireguard":
		k.port("network.port", k.Network.Port, false, "51820")
	}
	http, https := k.Ingress.Ports.HTTP, k.Ingress.Ports.HTTPS
	if http == https {
		k.err("ingress.ports.https", fmt.Sprintf("%d is ingress.ports.http as well", https), "write two different NodePorts, as in 30080 and 30443")
	}
	if _, own := k.Kubernetes.ExtraArgs.APIServer["service-node-port-range"]; own {
		return
	}
	for path, port := range map[string]int{"ingress.ports.http": http, "ingress.ports.https": https} {
		if port < nodePortLow || port > nodePortHigh {
			k.err(path, fmt.Sprintf("%d is not a NodePort", port), fmt.Sprintf("write %d to %d", nodePortLow, nodePortHigh))
		}
	}
}

func (k *check) port(path string, port int, tcp bool, usual string) {
	for _, l := range listeners() {
		if l.port == port && l.tcp == tcp && (!l.proxy || k.Roles.Proxy.Count > 0) {
			k.err(path, fmt.Sprintf("%d is taken by %s", port, l.what), "write another port, as in "+usual)
		}
	}
	if port >= nodePortLow && port <= nodePortHigh {
		k.err(path, fmt.Sprintf("%d lies in the range of NodePorts, %d to %d", port, nodePortLow, nodePortHigh), "write another port, as in "+usual)
	}
}
