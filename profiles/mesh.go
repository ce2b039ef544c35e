package profiles

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
)

// Files of the mesh that scripts and units share.
const (
	meshEnvPath     = "/etc/imgforge/mesh.env"
	meshWaitPath    = "/etc/imgforge/mesh-wait.sh"
	meshResolvePath = "/etc/imgforge/mesh-resolve.sh"
	meshPeersPath   = "/etc/imgforge/mesh-peers"
)

// meshUnits fills the unit templates of the mesh.
type meshUnits struct {
	Claim, Mesh, Firewall, Resolve string
	Env, Wait, ResolveScript       string
	Net, Interface                 string
	NetworkManager                 bool
}

// sharedMesh adds imgforge-mesh.service, which is up once the node's own address
// is on an interface, whatever carries it, and the host files that every node of
// the role has in common.
func sharedMesh(s *shared) error {
	n := s.plan.Network
	if err := s.butane("common/mesh-"+n.Mesh, meshUnits{
		Claim: unitClaim, Mesh: unitMesh, Firewall: unitFirewall, Resolve: unitResolve,
		Env: meshEnvPath, Wait: meshWaitPath, ResolveScript: meshResolvePath,
		Net: n.NetName, Interface: n.Interface, NetworkManager: s.plan.OS.NetworkManager,
	}); err != nil {
		return err
	}
	if n.Mesh != "tinc" {
		return nil
	}
	return eachHost(s.plan, s.secrets, commonHosts(s.plan, s.role.Name), s.file)
}

// ownMesh adds the node's own configuration and keys.
func ownMesh(o *own) error {
	if err := o.fill(artifact.File{Path: meshEnvPath}, "common/mesh.env", map[string]string{
		"Interface": meshInterface(o.plan.Network, o.node), "Address": o.node.Address,
	}); err != nil {
		return err
	}
	switch o.plan.Network.Mesh {
	case "tinc":
		return o.tinc()
	case "wireguard":
		return o.wireguard()
	}
	return nil
}

// meshInterface is the interface that carries the node's address; empty when
// mesh is none and the default route decides.
func meshInterface(n plan.Network, node plan.Node) string {
	if n.Mesh == "none" && node.Interface != "" {
		return node.Interface
	}
	return n.Interface
}

// tincConf fills common/tinc.conf.tmpl.
type tincConf struct {
	Name, Interface, Family, Dir string
	ConnectTo                    []string
	V11                          bool
}

func tincDir(n plan.Network) string { return "/etc/tinc/" + n.NetName }

// tinc adds tinc.conf, tinc-up, the private key and the host files that the
// node does not share with its role.
func (o *own) tinc() error {
	n, dir := o.plan.Network, tincDir(o.plan.Network)
	known, err := members(o.plan, o.node.Dials)
	if err != nil {
		return err
	}
	conf := tincConf{Name: o.node.MeshName, Interface: n.Interface, Dir: dir, V11: n.TincVersion == "1.1", Family: "ipv4"}
	for _, name := range o.node.Dials {
		hub := known[name]
		conf.ConnectTo = append(conf.ConnectTo, hub.meshName)
		if host, _ := splitEndpoint(hub.endpoint, n.Port); isIPv6(host) {
			conf.Family = "any"
		}
	}
	if err := o.fill(artifact.File{Path: dir + "/tinc.conf"}, "common/tinc.conf", conf); err != nil {
		return err
	}
	mac, err := meshMAC(o.node.Address)
	if err != nil {
		return err
	}
	up := map[string]string{"MAC": mac, "MTU": strconv.Itoa(n.MTU.Mesh), "Address": withPrefix(o.node.Address, n)}
	if err := o.fill(artifact.File{Path: dir + "/tinc-up", Mode: 0o755}, "common/tinc-up", up); err != nil {
		return err
	}
	keyFile, kind := "rsa_key.priv", "tinc-rsa"
	if conf.V11 {
		keyFile, kind = "ed25519_key.priv", "tinc-ed25519"
	}
	key, err := o.secrets.Secret(o.node.Name + "/" + kind)
	if err != nil {
		return err
	}
	o.file(artifact.File{Path: dir + "/" + keyFile, Mode: 0o600, Contents: ensureNewline(key), Secret: true})
	return eachHost(o.plan, o.secrets, ownHosts(o.plan, o.node), o.file)
}

// carried lists the nodes and operators whose host files a node has: its peers
// and, for its own port and public key, itself.
func carried(n plan.Node) []string { return append(slices.Clone(n.Peers), n.Name) }

// commonHosts are the host files that all slots of a role carry: those of a
// spoke's peers where the role has spokes, since hubs know everybody, else all.
// Sharing them keeps a role's payload linear in the size of the cluster.
func commonHosts(p *plan.Plan, role string) []string {
	var common []string
	for i := range p.Nodes {
		n := &p.Nodes[i]
		if n.Role != role {
			continue
		}
		if !n.Hub {
			return n.Peers
		}
		if common == nil {
			common = carried(*n)
		}
	}
	return common
}

// ownHosts are those that a node carries besides the common ones of its role.
func ownHosts(p *plan.Plan, n plan.Node) []string {
	common := map[string]bool{}
	for _, name := range commonHosts(p, n.Role) {
		common[name] = true
	}
	return slices.DeleteFunc(carried(n), func(name string) bool { return common[name] })
}

// meshMember is a node or an operator as the mesh knows it.
type meshMember struct {
	meshName, endpoint, address string
	keys                        string // prefix of its key IDs
}

// members looks nodes and operators up by name, all in one pass. Hubs are
// masters and come first, so that a spoke's lookup ends early.
func members(p *plan.Plan, names []string) (map[string]meshMember, error) {
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[name] = true
	}
	out := make(map[string]meshMember, len(names))
	for i := 0; i < len(p.Nodes) && len(out) < len(wanted); i++ {
		if n := &p.Nodes[i]; wanted[n.Name] {
			out[n.Name] = meshMember{n.MeshName, n.Endpoint, n.Address, n.Name}
		}
	}
	for _, op := range p.Operators {
		if wanted[op.Name] {
			out[op.Name] = meshMember{op.MeshName, "", op.Address, "operator/" + op.Name}
		}
	}
	for _, name := range names {
		if _, ok := out[name]; !ok {
			return nil, fmt.Errorf("peer %q is neither a node nor an operator", name)
		}
	}
	return out, nil
}

// eachHost adds the tinc host file of every name.
func eachHost(p *plan.Plan, s payload.Secrets, names []string, add func(artifact.File)) error {
	known, err := members(p, names)
	if err != nil {
		return err
	}
	n := p.Network
	for _, name := range names {
		m := known[name]
		data := struct {
			Address, Port, PublicKey string
			V11                      bool
		}{Port: strconv.Itoa(n.Port), V11: n.TincVersion == "1.1"}
		if m.endpoint != "" {
			host, port := splitEndpoint(m.endpoint, n.Port)
			data.Address = host + " " + port
		}
		kind := "/tinc-rsa"
		if data.V11 {
			kind = "/tinc-ed25519"
		}
		key, err := s.Public(m.keys + kind)
		if err != nil {
			return err
		}
		data.PublicKey = string(bytes.TrimSpace(key))
		text, err := render("common/tinc-host", data)
		if err != nil {
			return err
		}
		add(artifact.File{Path: tincDir(n) + "/hosts/" + m.meshName, Contents: []byte(text)})
	}
	return nil
}

// meshMAC derives the hardware address of the node's tap device from its mesh
// address, so that a node that comes back is not a stale entry in its peers'
// neighbour tables. The first octet marks it as locally administered.
func meshMAC(address string) (string, error) {
	a, err := netip.ParseAddr(address)
	if err != nil || !a.Is4() {
		return "", fmt.Errorf("%q is not an IPv4 address", address)
	}
	b := a.As4()
	return fmt.Sprintf("02:69:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3]), nil
}

func isIPv6(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.Is6()
}

func ensureNewline(b []byte) []byte {
	return append(slices.Clone(bytes.TrimRight(b, "\n")), '\n')
}
