package plan

import (
	"slices"

	"github.com/imgforge/imgforge/internal/spec"
)

// Ingress is what proxies forward to workers.
type Ingress struct {
	HTTP  int `json:"http"`
	HTTPS int `json:"https"`
}

// Addons says what is applied on first boot.
type Addons struct {
	CNI           string `json:"cni"`
	KubeProxy     bool   `json:"kubeProxy"`
	CoreDNS       bool   `json:"coreDNS"`
	MetricsServer bool   `json:"metricsServer"`
}

// Settings are node settings that need no decision.
type Settings struct {
	Delivery     string     `json:"delivery"`
	ArtifactsURL string     `json:"artifactsURL,omitempty"`
	NTP          []string   `json:"ntp,omitempty"`
	DNS          []string   `json:"dns,omitempty"`
	Timezone     string     `json:"timezone"`
	HTTPProxy    string     `json:"httpProxy,omitempty"`
	HTTPSProxy   string     `json:"httpsProxy,omitempty"`
	NoProxy      []string   `json:"noProxy,omitempty"` // complete, the cluster's own included
	Registries   []Registry `json:"registries,omitempty"`
	OIDC         *OIDC      `json:"oidc,omitempty"`
	Extra        Extra      `json:"extra"`
}

// Registry is one container registry; the password stays in the store.
type Registry struct {
	Host      string   `json:"host"`
	Mirrors   []string `json:"mirrors,omitempty"`
	CA        string   `json:"ca,omitempty"`
	Username  string   `json:"username,omitempty"`
	SecretKey string   `json:"secretKey,omitempty"` // Key.ID of the password: user/<name>
}

// OIDC is an issuer of people's tokens.
type OIDC struct {
	Issuer         string `json:"issuer"`
	ClientID       string `json:"clientID"`
	UsernameClaim  string `json:"usernameClaim"`
	UsernamePrefix string `json:"usernamePrefix"`
	GroupsClaim    string `json:"groupsClaim"`
	GroupsPrefix   string `json:"groupsPrefix"`
	CA             string `json:"ca,omitempty"`
}

// Extra is the user's own Butane.
type Extra struct {
	All    string `json:"all,omitempty"`
	Master string `json:"master,omitempty"`
	Proxy  string `json:"proxy,omitempty"`
	Worker string `json:"worker,omitempty"`
}

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
