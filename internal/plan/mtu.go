package plan

import (
	"fmt"

	"github.com/imgforge/imgforge/internal/report"
	"github.com/imgforge/imgforge/internal/spec"
)

// MTU is the largest packet of each layer, in bytes.
type MTU struct {
	Underlay int `json:"underlay"`
	Mesh     int `json:"mesh"` // of the mesh interface; equals Underlay when mesh is none
	Pod      int `json:"pod"`  // inside VXLAN over the mesh
}

// underlayOf is the MTU of a provider's network, in bytes: Ethernet's 1500, but
// for networks that are tunnels themselves.
func underlayOf(provider string) int {
	switch provider {
	case "hetzner":
		// docs.hetzner.com, Networks, Architecture: 1450 on private interfaces, 1500
		// on public ones.
		return 1450
	case "openstack":
		// docs.openstack.org, networking guide, MTU considerations: a VXLAN tenant
		// network over the default global_physnet_mtu of 1500.
		return 1450
	}
	// EC2 has 9001 inside a VPC and 1500 through any gateway out of it (Amazon EC2
	// user guide, network MTU), where larger packets are dropped.
	return 1500
}

// What each layer adds to a packet, in bytes. The outer header is counted as
// IPv6 (40), since an endpoint's name may resolve to it; IPv4 saves 20.
const (
	// tinc 1.0: IPv6 40, UDP 8, sequence number 4, inner Ethernet 14, up to a
	// block of CBC padding 16, MAC 16.
	tinc10Overhead = 40 + 8 + 4 + 14 + 16 + 16
	// tinc 1.1 (SPTPS): IPv6 40, UDP 8, destination and source ids 6+6, sequence
	// number 4, type 1, inner Ethernet 14, Poly1305 tag 16.
	tinc11Overhead = 40 + 8 + 6 + 6 + 4 + 1 + 14 + 16
	// WireGuard: IPv6 40, UDP 8, type 4, receiver 4, counter 8, tag 16.
	wireguardOverhead = 40 + 8 + 4 + 4 + 8 + 16
	// VXLAN inside the mesh, which is IPv4: IPv4 20, UDP 8, VXLAN 8, inner Ethernet 14.
	vxlanOverhead = 20 + 8 + 8 + 14
	// minimumMTU is what pods must keep: below it Linux turns IPv6 off on the
	// interface (RFC 8200, section 5).
	minimumMTU = 1280
)

// mtuOf is the MTU of each layer.
func mtuOf(c *spec.Cluster, r *report.Report) MTU {
	underlay := c.Network.UnderlayMTU
	if underlay == 0 {
		underlay = underlayOf(c.Platform.Provider)
	}
	overhead := meshOverhead(c.Network)
	m := MTU{Underlay: underlay, Mesh: underlay - overhead, Pod: underlay - overhead - vxlanOverhead}
	if m.Pod < minimumMTU {
		r.Add(report.Problem{
			Path: "network.underlayMTU",
			Message: fmt.Sprintf("%d leaves %d bytes for pods, after %d for mesh %s and %d for VXLAN; they need %d",
				underlay, m.Pod, overhead, c.Network.Mesh, vxlanOverhead, minimumMTU),
			Fix: fmt.Sprintf("use a network with an MTU of at least %d", minimumMTU+overhead+vxlanOverhead),
		})
	}
	return m
}

func meshOverhead(n spec.Network) int {
	switch {
	case n.Mesh == "wireguard":
		return wireguardOverhead
	case n.Mesh == "tinc" && n.TincVersion == "1.1":
		return tinc11Overhead
	case n.Mesh == "tinc":
		return tinc10Overhead
	}
	return 0
}
