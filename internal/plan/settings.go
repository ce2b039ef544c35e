package plan

import (
	"slices"

	"github.com/imgforge/imgforge/internal/spec"
)

// settingsOf copies what needs no decision, and completes noProxy.
func settingsOf(c *spec.Cluster, p *Plan) Settings {
	s := Settings{
		Delivery: c.Delivery, ArtifactsURL: c.Artifacts.URL, NTP: slices.Clone(c.NTP), DNS: slices.Clone(c.DNS), Timezone: c.Timezone,
		HTTPProxy: c.Proxy.HTTP, HTTPSProxy: c.Proxy.HTTPS, NoProxy: noProxy(c, p),
		Extra: Extra{All: c.Extra.All, Master: c.Extra.Master, Proxy: c.Extra.Proxy, Worker: c.Extra.Worker},
	}
	for _, r := range c.Registries {
		reg := Registry{Host: r.Host, Mirrors: slices.Clone(r.Mirrors), CA: r.CA, Username: r.Username}
		if r.PasswordRef != "" {
			reg.SecretKey = "user/" + r.PasswordRef
		}
		s.Registries = append(s.Registries, reg)
	}
	if o := c.OIDC; o != nil {
		s.OIDC = &OIDC{
			Issuer: o.Issuer, ClientID: o.ClientID, UsernameClaim: o.UsernameClaim, UsernamePrefix: o.UsernamePrefix,
			GroupsClaim: o.GroupsClaim, GroupsPrefix: o.GroupsPrefix, CA: o.CA,
		}
	}
	return s
}

// noProxy is everything that is reached directly: the node itself, the cluster's
// networks and names, the metadata service, and what the user adds.
func noProxy(c *spec.Cluster, p *Plan) []string {
	if c.Proxy.HTTP == "" && c.Proxy.HTTPS == "" {
		return nil
	}
	out := []string{"localhost", "127.0.0.1", "::1", ".svc", "." + p.Kubernetes.ClusterDomain, p.Kubernetes.PodCIDR, p.Kubernetes.ServiceCIDR, p.Network.CIDR}
	if p.Platform.PrivateDomain != "" {
		out = append(out, "."+p.Platform.PrivateDomain)
	}
	out = append(out, p.Platform.Metadata...)
	for _, s := range c.Proxy.NoProxy {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
