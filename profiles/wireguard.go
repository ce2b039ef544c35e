package profiles

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
)

// wireguardConf fills the WireGuard templates.
type wireguardConf struct {
	Interface, Address, PrivateKey, UUID string
	Port, MTU                            int
	Peers                                []wireguardPeer
}

type wireguardPeer struct {
	Name, PublicKey, Address string
	Endpoint                 string // host:port; empty for a peer that dials in
}

// wireguard adds the interface with all its peers, for networkd or for
// NetworkManager, and the list from which silent peers are looked up again.
func (o *own) wireguard() error {
	key, err := o.secrets.Secret(o.node.Name + "/wireguard")
	if err != nil {
		return err
	}
	n := o.plan.Network
	conf := wireguardConf{
		Interface: n.Interface, Address: withPrefix(o.node.Address, n), PrivateKey: string(bytes.TrimSpace(key)),
		UUID: plan.GUID("wireguard", o.plan.Cluster, o.node.Name), Port: n.Port, MTU: n.MTU.Mesh,
	}
	if conf.Peers, err = o.wireguardPeers(); err != nil {
		return err
	}
	var list strings.Builder
	for _, p := range conf.Peers {
		if p.Endpoint != "" {
			list.WriteString(p.PublicKey + " " + p.Endpoint + "\n")
		}
	}
	o.file(artifact.File{Path: meshPeersPath, Contents: []byte(list.String())})
	if o.plan.OS.NetworkManager {
		return o.fill(artifact.File{Path: "/etc/NetworkManager/system-connections/imgforge-mesh.nmconnection", Mode: 0o600, Secret: true},
			"common/wireguard.nmconnection", conf)
	}
	// networkd drops its privileges, so the mesh unit hands the file to its group: a
	// name that Flatcar keeps where nothing that runs before systemd looks.
	err = o.fill(artifact.File{Path: "/etc/systemd/network/20-imgforge-mesh.netdev", Mode: 0o600, Secret: true},
		"common/wireguard.netdev", conf)
	if err != nil {
		return err
	}
	return o.fill(artifact.File{Path: "/etc/systemd/network/20-imgforge-mesh.network"}, "common/wireguard.network", conf)
}

func (o *own) wireguardPeers() ([]wireguardPeer, error) {
	known, err := members(o.plan, o.node.Peers)
	if err != nil {
		return nil, err
	}
	out := make([]wireguardPeer, 0, len(o.node.Peers))
	for _, name := range o.node.Peers {
		m := known[name]
		key, err := o.secrets.Public(m.keys + "/wireguard")
		if err != nil {
			return nil, err
		}
		p := wireguardPeer{Name: name, PublicKey: string(bytes.TrimSpace(key)), Address: m.address}
		if m.endpoint != "" {
			p.Endpoint = joinEndpoint(splitEndpoint(m.endpoint, o.plan.Network.Port))
		}
		out = append(out, p)
	}
	return out, nil
}

// keepalive is how often a silent peer sends, in seconds: under the 30 s after
// which the shortest common NAT timeouts forget a UDP flow.
func (wireguardConf) Keepalive() string { return strconv.Itoa(25) }
