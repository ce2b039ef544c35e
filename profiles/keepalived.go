package profiles

import (
	"cmp"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
)

const keepalivedDir = "/etc/imgforge/keepalived"

// keepalivedConf fills master/keepalived.conf.tmpl, which proxies share.
type keepalivedConf struct {
	Node, Interface, Source string
	Peers                   []string
	RouterID, Priority      int
	Address, Device         string // what floats, and on which interface
	Check                   string // command that says whether the node may hold it
	Notify                  string // command that is told of every change
}

// floats tells whether an address floats over the nodes of a role.
func (s *scope) floats() bool {
	if s.isMaster() {
		return s.plan.Endpoint.Mode == "vip"
	}
	return s.role.Name == "proxy" && s.role.PublicIP != ""
}

func sharedKeepalived(s *shared) error {
	if !s.floats() {
		return nil
	}
	return s.fill(manifestDir+"/keepalived.yaml", 0o600, "master/keepalived-pod.yaml", map[string]any{
		"Image": s.plan.Images.Keepalived, "Dir": keepalivedDir, "Config": keepalivedDir + "/keepalived.conf", "SELinux": s.podType(),
		"Files": []string{artifact.ClusterFilePath, artifact.NodeFilePath, caPath},
	})
}

func ownKeepalived(o *own) error {
	if !o.floats() {
		return nil
	}
	return o.fill(artifact.File{Path: keepalivedDir + "/keepalived.conf"}, "master/keepalived.conf", newKeepalived(o.scope, o.node))
}

// newKeepalived is one node's side of its role's floating address.
func newKeepalived(s *scope, n plan.Node) keepalivedConf {
	const helper = "/usr/bin/imgforge-node"
	// A floating address is a host's, never the network's: with the network's prefix it
	// could become the interface's first address, and take the node's own along when it goes.
	conf := keepalivedConf{
		Node: n.Name, Interface: meshInterface(s.plan.Network, n), Source: n.Address,
		RouterID: s.plan.Network.VRRPID, Priority: n.VRRPPriority,
		Address: s.plan.Endpoint.Address + "/32", Device: meshInterface(s.plan.Network, n),
		Check:  helper + " check endpoint --config " + artifact.NodeFilePath,
		Notify: helper + " notify --config " + artifact.NodeFilePath,
	}
	if !s.isMaster() {
		conf.RouterID, conf.Address = s.plan.Network.VRRPIDProxy, s.role.PublicIP+"/32"
		// The provider routes the address to the holder's machine, where it has to
		// exist, on any interface. On a shared network its neighbours must be told,
		// which needs the interface they are on.
		conf.Device = cmp.Or(n.Interface, "lo")
		conf.Check = helper + " check proxy --config " + artifact.NodeFilePath
	}
	for _, peer := range s.plan.NodesOf(n.Role) {
		if peer.Name != n.Name {
			conf.Peers = append(conf.Peers, peer.Address)
		}
	}
	return conf
}
