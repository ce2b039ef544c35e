package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/imgforge/imgforge/internal/spec"
)

// Endpoint is how the API is reached.
type Endpoint struct {
	Mode          string   `json:"mode"`              // vip | local
	Address       string   `json:"address,omitempty"` // the VIP
	Host          string   `json:"host"`              // what kubeconfigs name: the VIP, or 127.0.0.1
	Port          int      `json:"port"`              // haproxy
	APIServerPort int      `json:"apiserverPort"`     // 8443
	URL           string   `json:"url"`               // https://host:port
	Access        []string `json:"access,omitempty"`
	// Internal is the name in apiserver certificates that kubeconfigs may use besides addresses.
	SANs []string `json:"sans,omitempty"`
}

// apiserverPort is where kube-apiserver itself listens, so that haproxy can own
// endpoint.port on the same machine.
const apiserverPort = 8443

// endpointOf decides how kubeconfigs name the API.
func endpointOf(c *spec.Cluster, n Network) Endpoint {
	e := Endpoint{
		Mode: c.Endpoint.Mode, Port: c.Endpoint.Port, APIServerPort: apiserverPort,
		Host: "127.0.0.1", Access: slices.Clone(c.Endpoint.Access), SANs: slices.Clone(c.Endpoint.SANs),
	}
	if e.Mode == "vip" {
		e.Address = c.Endpoint.Address
		if network, err := netip.ParsePrefix(n.CIDR); err == nil && network.Addr().Is4() {
			e.Address = cmp.Or(e.Address, lastUsable(network).String())
		}
		e.Host = e.Address
	}
	e.URL = fmt.Sprintf("https://%s:%d", e.Host, e.Port)
	return e
}
