package profiles

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
)

// Units of this half that other units order themselves by. Their order on a boot
// is: firewall before the network, claim, mesh, then what runs on top of it.
const unitResolve = "imgforge-mesh-resolve.service"

// networkParts are the concerns of a node's network and base system, in the
// order in which a reader meets them in a document.
func networkParts() []part {
	return []part{
		{name: "claim", shared: sharedClaim},
		{name: "system", shared: sharedSystem},
		{name: "reboots", shared: sharedReboots},
		{name: "firewall", shared: sharedFirewall},
		{name: "network", shared: sharedNetwork, own: ownNetwork},
		{name: "mesh", shared: sharedMesh, own: ownMesh},
		{name: "haproxy", shared: sharedHAProxy},
		{name: "keepalived", shared: sharedKeepalived, own: ownKeepalived},
		{name: "public address", shared: sharedPublicIP},
	}
}

// fill adds a file whose contents are the template of that name.
func (s *shared) fill(path string, mode uint32, name string, data any) error {
	text, err := render(name, data)
	if err != nil {
		return err
	}
	s.file(artifact.File{Path: path, Mode: mode, Contents: []byte(text)})
	return nil
}

// fill adds a file of this node whose contents are the template of that name.
func (o *own) fill(f artifact.File, name string, data any) error {
	text, err := render(name, data)
	if err != nil {
		return err
	}
	f.Contents = []byte(text)
	o.file(f)
	return nil
}

// sharedNetwork keeps the OS's network manager away from what is not its own
// and names the resolvers.
func sharedNetwork(s *shared) error {
	unmanaged, at := "common/unmanaged.network", "/etc/systemd/network/05-imgforge-unmanaged.network"
	if s.plan.OS.NetworkManager {
		unmanaged, at = "common/unmanaged.conf", "/etc/NetworkManager/conf.d/05-imgforge-unmanaged.conf"
	}
	if err := s.fill(at, 0o644, unmanaged, foreignInterfaces(s.plan)); err != nil {
		return err
	}
	if !s.plan.OS.NetworkManager {
		if err := s.fill("/etc/systemd/networkd.conf.d/50-imgforge.conf", 0o644, "common/networkd.conf", nil); err != nil {
			return err
		}
	}
	return s.fill("/etc/systemd/resolved.conf.d/50-imgforge.conf", 0o644, "common/resolved.conf", map[string]any{
		"Servers": strings.Join(s.plan.Settings.DNS, " "),
		// The provider's private names live with the resolver that DHCP names, so
		// that one must keep being asked there.
		"Only": len(s.plan.Settings.DNS) > 0 && s.plan.Platform.PrivateDomain == "",
	})
}

// foreignInterfaces are made and addressed by others than the network manager:
// the CNI, flannel, kube-proxy and tincd.
func foreignInterfaces(p *plan.Plan) []string {
	names := []string{"cni0", "flannel.1", "kube-ipvs0", "veth*"}
	if p.Network.Mesh == "tinc" {
		names = append([]string{p.Network.Interface}, names...)
	}
	return names
}

// ownNetwork names the node and the masters, and gives the node its address
// where nothing else does.
func ownNetwork(o *own) error {
	o.file(artifact.File{Path: "/etc/hostname", Contents: []byte(o.node.Name + "\n")})
	if err := o.fill(artifact.File{Path: "/etc/hosts"}, "common/hosts", hostLines(o.plan, o.node)); err != nil {
		return err
	}
	if o.plan.Network.Mesh != "none" || o.plan.Network.Gateway == "" {
		return nil
	}
	data := map[string]string{
		"Name": cmp.Or(o.node.Interface, o.plan.Network.Interface), "MAC": o.node.MAC,
		"Address": withPrefix(o.node.Address, o.plan.Network), "Gateway": o.plan.Network.Gateway,
		"UUID": plan.GUID("network", o.plan.Cluster, o.node.Name), "MTU": strconv.Itoa(o.plan.Network.MTU.Underlay),
	}
	if o.plan.OS.NetworkManager {
		return o.fill(artifact.File{Path: "/etc/NetworkManager/system-connections/imgforge.nmconnection", Mode: 0o600}, "common/static.nmconnection", data)
	}
	return o.fill(artifact.File{Path: "/etc/systemd/network/10-imgforge.network"}, "common/static.network", data)
}

// hostLine is an entry of /etc/hosts.
type hostLine struct{ Address, Name string }

// hostLines are the masters and the node itself: enough for the first start of
// every component, and independent of the number of workers.
func hostLines(p *plan.Plan, n plan.Node) []hostLine {
	var out []hostLine
	for _, m := range p.NodesOf("master") {
		out = append(out, hostLine{m.Address, m.Name})
	}
	if n.Role != "master" {
		out = append(out, hostLine{n.Address, n.Name})
	}
	return out
}

// withPrefix is an address in the notation of ip(8): 192.168.66.11/24.
func withPrefix(address string, n plan.Network) string {
	return address + "/" + strconv.Itoa(n.PrefixLen)
}

// splitEndpoint separates the host and the port of a mesh endpoint, which may
// be a name, an address or a bracketed IPv6 address; without a port it is the mesh's.
func splitEndpoint(endpoint string, port int) (host, p string) {
	if a, err := netip.ParseAddr(strings.Trim(endpoint, "[]")); err == nil {
		return a.String(), strconv.Itoa(port)
	}
	if i := strings.LastIndexByte(endpoint, ':'); i >= 0 {
		return strings.Trim(endpoint[:i], "[]"), endpoint[i+1:]
	}
	return endpoint, strconv.Itoa(port)
}

// joinEndpoint is host:port, with brackets around an IPv6 address.
func joinEndpoint(host, port string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]:" + port
	}
	return host + ":" + port
}
