package spec

import (
	"net/netip"
	"reflect"

	"gopkg.in/yaml.v3"
)

// setDefaults fills what the file leaves out: first the constants of the tags,
// then what follows from other fields. What the file sets, to zero or to an
// empty text even, stays.
func setDefaults(c *Cluster, src *Source) {
	tagDefaults(reflect.ValueOf(c).Elem(), "", src)
	setEndpoint(c, src)
	setNetwork(c, src)
	setPlatform(c, src)
	setReserves(c)
	setTaints(c, src)
}

func tagDefaults(v reflect.Value, path string, src *Source) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			tagDefaults(v.Elem(), path, src)
		}
	case reflect.Slice:
		for i := range v.Len() {
			tagDefaults(v.Index(i), item(path, i), src)
		}
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			below := join(path, f.key)
			if f.def != "" && !src.has(below) {
				// The tags are constants of this package: a test decodes every one.
				_ = yaml.Unmarshal([]byte(f.def), v.Field(f.index).Addr().Interface())
				continue
			}
			tagDefaults(v.Field(f.index), below, src)
		}
	}
}

// setEndpoint picks the mode that can work: WireGuard carries no floating
// address, and a single master has nothing to float it to.
func setEndpoint(c *Cluster, src *Source) {
	alone := c.Roles.Master.Count == 1 && !src.has("endpoint.address")
	if !src.has("endpoint.mode") && (c.Network.Mesh == "wireguard" || alone) {
		c.Endpoint.Mode = "local"
	}
	if c.Endpoint.Mode != "vip" || src.has("endpoint.address") {
		return
	}
	if p, err := netip.ParsePrefix(c.Network.CIDR); err == nil && p.Addr().Is4() && p.Bits() <= 30 {
		c.Endpoint.Address = lastHost(p).String()
	}
}

// lastHost is the address before the broadcast address.
func lastHost(p netip.Prefix) netip.Addr { return broadcast(p).Prev() }

// broadcast is the last address of an IPv4 network.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(b)
}

func setNetwork(c *Cluster, src *Source) {
	if src.has("network.port") {
		return
	}
	switch c.Network.Mesh {
	case "tinc":
		c.Network.Port = 655
	case "wireguard":
		c.Network.Port = 51820
	}
}

func setPlatform(c *Cluster, src *Source) {
	if c.Platform.Provider == "scaleway" {
		if !src.has("platform.zone") {
			c.Platform.Zone = "fr-par-1"
		}
		if !src.has("platform.privateDomain") && c.Name != "" {
			c.Platform.PrivateDomain = c.Name + ".internal"
		}
	}
	if src.has("os.channel") {
		return
	}
	switch c.OS.Family {
	case "flatcar", "fcos", "imgforge":
		c.OS.Channel = "stable"
	case "debian":
		c.OS.Channel = "12"
	case "ubuntu":
		c.OS.Channel = "24.04"
	}
}

// maxMasters is the number of voting members beyond which etcd only gets slower.
const maxMasters = 7

// setReserves prepares room to grow, where growing is likely.
func setReserves(c *Cluster) {
	master := 0
	if c.Roles.Master.Count > 1 {
		master = clamp(maxMasters-c.Roles.Master.Count, 0, 2)
	}
	worker := 0
	if c.Roles.Worker.Count > 0 {
		worker = 8
	}
	for _, r := range []struct {
		role    *Role
		reserve int
	}{{&c.Roles.Master, master}, {&c.Roles.Proxy, 0}, {&c.Roles.Worker, worker}} {
		if r.role.Reserve == nil {
			r.role.Reserve = &r.reserve
		}
	}
}

// setTaints tells an empty list, which means no taint, from one that was left
// out, which leaves the decision to the plan: it knows which slots the store anchors.
func setTaints(c *Cluster, src *Source) {
	for path, r := range map[string]*Role{"roles.master.taints": &c.Roles.Master, "roles.proxy.taints": &c.Roles.Proxy, "roles.worker.taints": &c.Roles.Worker} {
		if src.has(path) && r.Taints == nil {
			r.Taints = []Taint{}
		}
	}
}
