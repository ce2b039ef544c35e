package spec

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// eachNode calls f for every listed node.
func (k *check) eachNode(f func(r role, i int, n Node, path string)) {
	for _, r := range k.roles() {
		for i, n := range r.Nodes {
			f(r, i, n, item(r.path+".nodes", i))
		}
	}
}

// addresses checks the addresses that the file gives to nodes.
func (k *check) addresses() {
	net, ok := prefix(k.Network.CIDR)
	seen := map[string]string{}
	unique := func(kind, value, path string) {
		if value == "" {
			return
		}
		if first, taken := seen[kind+value]; taken {
			k.err(path, quote(value)+" is "+first+" as well", "write a value of its own for every node")
			return
		}
		seen[kind+value] = path
	}
	k.eachNode(func(_ role, _ int, n Node, path string) {
		unique("address", n.Address, path+".address")
		unique("public", n.PublicIP, path+".publicIP")
		unique("mac", n.MAC, path+".mac")
		unique("endpoint", n.Endpoint, path+".endpoint")
		if a, isAddr := address(n.Address); ok && isAddr {
			k.nodeAddress(a, net, path+".address")
		}
		if a, isAddr := address(n.PublicIP); ok && isAddr && net.Contains(a) && k.Network.Mesh != "none" {
			k.err(path+".publicIP", fmt.Sprintf("%s lies inside network.cidr %s", a, net), "write the address at which the world reaches the node")
		}
		k.nodeEndpoint(n.Endpoint, net, ok, path+".endpoint")
	})
	k.rolePublic(net, ok, seen)
}

func (k *check) nodeAddress(a netip.Addr, net netip.Prefix, path string) {
	switch {
	case !net.Contains(a):
		k.err(path, fmt.Sprintf("%s lies outside network.cidr %s", a, net), "write an address inside it, or widen network.cidr")
	case a == net.Addr() || a == broadcast(net):
		k.err(path, fmt.Sprintf("%s is the network or broadcast address of %s", a, net), "write an address between the two")
	case a.String() == k.Network.Gateway:
		k.err(path, fmt.Sprintf("%s is network.gateway as well", a), "write an address that nothing has")
	}
}

// nodeEndpoint checks that a peer can use the endpoint before the mesh is up.
func (k *check) nodeEndpoint(endpoint string, net netip.Prefix, known bool, path string) {
	if endpoint == "" {
		return
	}
	if k.Network.Mesh == "none" {
		k.warn(path, "has no effect with network.mesh none", "remove it")
		return
	}
	host, _ := splitHostPort(endpoint)
	a, err := netip.ParseAddr(host)
	switch {
	case host == "localhost" || err == nil && a.IsLoopback():
		k.err(path, quote(endpoint)+" is the node itself", "write the name or address at which other nodes reach it")
	case err == nil && known && net.Contains(a):
		k.err(path, fmt.Sprintf("%s lies inside the mesh network %s, which does not exist before the mesh is up", a, net), "write the address of the network below the mesh")
	}
}

func (k *check) rolePublic(net netip.Prefix, known bool, seen map[string]string) {
	for _, r := range k.roles() {
		a, isAddr := address(r.PublicIP)
		if isAddr && known && net.Contains(a) && k.Network.Mesh != "none" {
			k.err(r.path+".publicIP", fmt.Sprintf("%s lies inside network.cidr %s", a, net), "write the address at which the world reaches the role")
		}
		if v6, err := netip.ParseAddr(r.PublicIP); err == nil && v6.Is6() && r.path == "roles.proxy" {
			k.err(r.path+".publicIP", fmt.Sprintf("%s is IPv6, which keepalived cannot float together with IPv4", v6), "write the flexible IPv4 address")
		}
		if first, taken := seen["public"+r.PublicIP]; taken && r.PublicIP != "" {
			k.err(r.path+".publicIP", quote(r.PublicIP)+" is "+first+" as well, and a flexible address belongs to no single node", "remove one of them")
		}
	}
}

// hubs checks that peers find each other. On Scaleway every node has a name in
// the private network's DNS; elsewhere the file must say where the hubs are.
func (k *check) hubs() {
	slots := len(k.Network.Operators)
	for _, r := range k.roles() {
		slots += r.slots()
	}
	known := []string{"exoscale", "hetzner", "ec2", "openstack", "proxmox", "libvirt", "metal"}
	if !slices.Contains(known, k.Platform.Provider) || slots < 2 {
		return
	}
	switch k.Network.Mesh {
	case "tinc":
		k.tincHubs()
	case "wireguard":
		k.wireguardPeers()
	}
}

func (k *check) tincHubs() {
	masters, wanted := clamp(k.Roles.Master.Count, 0, maxMasters), []string{}
	found := 0
	for i := range masters {
		if nodes := k.Roles.Master.Nodes; i < len(nodes) && nodes[i].Endpoint != "" {
			found++
		} else {
			wanted = append(wanted, item("roles.master.nodes", i)+".endpoint")
		}
	}
	switch {
	case masters == 0:
	case found == 0:
		k.err("roles.master.nodes", "no master has an endpoint, so no node of the mesh knows whom to call on "+k.Platform.Provider,
			"write the public name or address of at least one, better of each: "+list(wanted))
	case found == 1 && masters > 1:
		k.warn("roles.master.nodes", "only one master has an endpoint: while it is down no node can join the mesh", "write "+list(wanted)+" too")
	}
}

// wireguardPeers: two peers find each other when one of them has an endpoint, so
// at most one existing node may go without.
func (k *check) wireguardPeers() {
	var without []string
	for _, r := range k.roles() {
		for i := range clamp(r.Count, 0, maxNodes) {
			if i >= len(r.Nodes) || r.Nodes[i].Endpoint == "" {
				without = append(without, item(r.path+".nodes", i)+".endpoint")
			}
		}
	}
	if len(without) < 2 && (len(without) == 0 || k.peers() > 1) {
		return
	}
	shown := without
	if len(shown) > 6 {
		shown = append(slices.Clone(shown[:5]), fmt.Sprintf("%d more", len(without)-5))
	}
	path := "roles.master.nodes"
	if !strings.HasPrefix(without[0], "roles.master.") {
		path = without[0][:strings.Index(without[0], "[")]
	}
	k.err(path, fmt.Sprintf("%d nodes have no endpoint, and WireGuard connects two peers only when one of them has", len(without)),
		"write their public names or addresses: "+list(shown))
}

func (k *check) peers() int {
	n := 0
	for _, r := range k.roles() {
		n += clamp(r.Count, 0, maxNodes)
	}
	return n
}

// disks checks that a disk can exist at the provider, and that none has two uses on one node.
func (k *check) disks() {
	k.volume("etcd.dataDisk", k.Etcd.DataDisk)
	for _, r := range k.roles() {
		k.volume(r.path+".dataDisk", r.DataDisk)
		k.oneUse(r, r.path, r.RootDisk, r.DataDisk, "")
		for i, n := range r.Nodes {
			k.volume(item(r.path+".nodes", i)+".dataDisk", n.DataDisk)
			root, data := n.RootDisk, n.DataDisk
			if root == "" {
				root = r.RootDisk
			}
			if data == "" {
				data = r.DataDisk
			}
			if n.RootDisk != "" || n.DataDisk != "" {
				k.oneUse(r, item(r.path+".nodes", i), root, data, n.DataDisk)
			}
		}
	}
}

// volume refuses a device name that no volume gets at Scaleway: a node would wait
// for it until somebody looks.
func (k *check) volume(path, device string) {
	name, virtio := strings.CutPrefix(device, "/dev/vd")
	if k.Platform.Provider != "scaleway" || !virtio {
		return
	}
	if name == "a" {
		name = "b" // the first disk is the root volume
	}
	k.err(path, quote(device)+" is a name that no volume gets on scaleway, where block storage is a SCSI disk", "write /dev/sd"+name)
}

func (k *check) oneUse(r role, path, root, data, own string) {
	etcd := ""
	if r.name == "master" {
		etcd = k.Etcd.DataDisk
	}
	if data != "" && data == root {
		field := path + ".dataDisk"
		if own == "" && path != r.path {
			field = path + ".rootDisk"
		}
		k.err(field, quote(data)+" is both the root disk and the data disk", "write two different disks")
	}
	if etcd != "" && etcd == root {
		k.err("etcd.dataDisk", quote(etcd)+" is the root disk of masters ("+path+") as well", "write a disk of its own")
	}
	if etcd != "" && etcd == data {
		k.err("etcd.dataDisk", quote(etcd)+" is the data disk of masters ("+path+") as well", "write a disk of its own")
	}
}
